"""Keys for programs, and the log of what was done to the server."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'apitoken',
        sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column('user_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column('name', sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column('hint', sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column('token_sha256', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column('scopes', sa.JSON(), nullable=False),
        sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column('expires_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column('last_used_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column('revoked_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_apitoken_user_id_user')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_apitoken')),
        sa.UniqueConstraint('token_sha256', name=op.f('uq_apitoken_token_sha256')),
    )
    op.create_index(op.f('ix_apitoken_user_id'), 'apitoken', ['user_id'])
    op.create_table(
        'auditevent',
        sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column('user_id', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column('action', sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column('about', sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column('detail', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column('client', sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_auditevent_user_id_user')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_auditevent')),
    )
    op.create_index(op.f('ix_auditevent_user_id'), 'auditevent', ['user_id'])
    op.create_index(op.f('ix_auditevent_created_at'), 'auditevent', ['created_at'])
    for statement in _guards(op.get_context().dialect.name):
        op.execute(statement)


def downgrade() -> None:
    op.drop_index(op.f('ix_auditevent_created_at'), 'auditevent')
    op.drop_index(op.f('ix_auditevent_user_id'), 'auditevent')
    # Its triggers go with it.
    op.drop_table('auditevent')
    op.drop_index(op.f('ix_apitoken_user_id'), 'apitoken')
    op.drop_table('apitoken')


def _guards(dialect):
    if dialect != 'sqlite':
        # The function is that of the tables of studies.
        yield (
            'CREATE TRIGGER auditevent_append_only BEFORE UPDATE OR DELETE ON auditevent '
            'FOR EACH ROW EXECUTE FUNCTION refuse_change()'
        )
        return
    for what in ('UPDATE', 'DELETE'):
        yield (
            f'CREATE TRIGGER auditevent_no_{what.lower()} BEFORE {what} ON auditevent '
            "BEGIN SELECT RAISE(ABORT, 'auditevent is append-only'); END"
        )
