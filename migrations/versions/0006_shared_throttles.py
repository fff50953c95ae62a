"""What throttles count, shared by every process of a server."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('throttlemoment',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('key', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
    sa.Column('at', sa.Float(), nullable=False),
    sa.Column('until', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_throttlemoment'))
    )
    with op.batch_alter_table('throttlemoment', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_throttlemoment_key'), ['key'], unique=False)
        batch_op.create_index(batch_op.f('ix_throttlemoment_until'), ['until'], unique=False)


def downgrade() -> None:
    op.drop_table('throttlemoment')
