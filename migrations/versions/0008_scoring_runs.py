"""Scoring a whole study: its runs, and a task for each response with the lease of whoever reads it."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('scoringrun',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('reader', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('base_prompt', sa.Enum('same_ids', 'plain', 'few_shot', name='baseprompt', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('state', sa.Enum('running', 'paused', 'done', 'failed', 'cancelled', name='scoringstate', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('total', sa.Integer(), nullable=False),
    sa.Column('message', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('created_by', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('resumed_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('ended_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['created_by'], ['user.id'], name=op.f('fk_scoringrun_created_by_user')),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_scoringrun_study_id_study')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_scoringrun'))
    )
    with op.batch_alter_table('scoringrun', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_scoringrun_state'), ['state'], unique=False)
        batch_op.create_index(batch_op.f('ix_scoringrun_study_id'), ['study_id'], unique=False)

    op.create_table('scoringtask',
    sa.Column('run_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('response_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('checkpoint', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('state', sa.Enum('waiting', 'claimed', 'done', 'failed', name='taskstate', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('worker', sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
    sa.Column('lease_until', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('sentence', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('ended_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['response_id'], ['response.id'], name=op.f('fk_scoringtask_response_id_response')),
    sa.ForeignKeyConstraint(['run_id'], ['scoringrun.id'], name=op.f('fk_scoringtask_run_id_scoringrun')),
    sa.PrimaryKeyConstraint('run_id', 'response_id', name=op.f('pk_scoringtask'))
    )
    with op.batch_alter_table('scoringtask', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_scoringtask_response_id'), ['response_id'], unique=False)
        batch_op.create_index('ix_scoringtask_run_id_state', ['run_id', 'state'], unique=False)


def downgrade() -> None:
    op.drop_table('scoringtask')
    op.drop_table('scoringrun')
