"""First tables."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('response',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('checkpoint', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('prompt', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('prompt_ids', sa.JSON(), nullable=False),
    sa.Column('text', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('text_sha256', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
    sa.Column('token_ids', sa.JSON(), nullable=False),
    sa.Column('finish', sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
    sa.Column('run', sa.JSON(), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_response'))
    )
    with op.batch_alter_table('response', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_response_checkpoint'), ['checkpoint'], unique=False)
        batch_op.create_index(batch_op.f('ix_response_text_sha256'), ['text_sha256'], unique=False)

    op.create_table('user',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('email', sqlmodel.sql.sqltypes.AutoString(length=320), nullable=False),
    sa.Column('name', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('role', sa.Enum('annotator', 'researcher', 'owner', name='role', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('password_hash', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column('session_version', sa.Integer(), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('disabled_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_user')),
    sa.UniqueConstraint('email', name=op.f('uq_user_email'))
    )
    op.create_table('comparison',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('prompt', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('base_prompt', sa.Enum('same_ids', 'plain', 'few_shot', name='baseprompt', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('decoding', sa.JSON(), nullable=False),
    sa.Column('state', sa.Enum('pending', 'running', 'done', 'stopped', 'failed', 'interrupted', name='runstate', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('created_by', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('finished_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['created_by'], ['user.id'], name=op.f('fk_comparison_created_by_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_comparison'))
    )
    with op.batch_alter_table('comparison', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_comparison_created_at'), ['created_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_comparison_created_by'), ['created_by'], unique=False)

    op.create_table('study',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('slug', sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
    sa.Column('name', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('seed', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('state', sa.Enum('draft', 'open', 'paused', 'closed', name='studystate', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('overlap', sa.Integer(), nullable=False),
    sa.Column('guidelines', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('guideline_version', sa.Integer(), nullable=False),
    sa.Column('created_by', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['created_by'], ['user.id'], name=op.f('fk_study_created_by_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_study')),
    sa.UniqueConstraint('slug', name=op.f('uq_study_slug'))
    )
    with op.batch_alter_table('study', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_study_created_by'), ['created_by'], unique=False)

    op.create_table('trace',
    sa.Column('response_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('reference', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('kl_kind', sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
    sa.Column('dtype', sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
    sa.Column('border_width', sa.Float(), nullable=False),
    sa.Column('n', sa.Integer(), nullable=False),
    sa.Column('unshifted', sa.Integer(), nullable=False),
    sa.Column('marginal', sa.Integer(), nullable=False),
    sa.Column('shifted', sa.Integer(), nullable=False),
    sa.Column('mean_kl_tuned_base', sa.Float(), nullable=True),
    sa.Column('mean_kl_base_tuned', sa.Float(), nullable=True),
    sa.Column('tokens', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['response_id'], ['response.id'], name=op.f('fk_trace_response_id_response')),
    sa.PrimaryKeyConstraint('response_id', 'reference', name=op.f('pk_trace'))
    )
    op.create_table('arm',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('name', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('checkpoint', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('decoding', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_arm_study_id_study')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_arm')),
    sa.UniqueConstraint('study_id', 'name', name=op.f('uq_arm_study_id_name'))
    )
    op.create_table('comparisoncolumn',
    sa.Column('comparison_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('checkpoint', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('reference', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('state', sa.Enum('pending', 'running', 'done', 'stopped', 'failed', 'interrupted', name='runstate', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('message', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('response_id', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.ForeignKeyConstraint(['comparison_id'], ['comparison.id'], name=op.f('fk_comparisoncolumn_comparison_id_comparison')),
    sa.ForeignKeyConstraint(['response_id'], ['response.id'], name=op.f('fk_comparisoncolumn_response_id_response')),
    sa.PrimaryKeyConstraint('comparison_id', 'position', name=op.f('pk_comparisoncolumn'))
    )
    op.create_table('invite',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('token_sha256', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
    sa.Column('role', sa.Enum('annotator', 'researcher', 'owner', name='role', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column('user_id', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column('created_by', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('expires_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('used_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.Column('used_by', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.ForeignKeyConstraint(['created_by'], ['user.id'], name=op.f('fk_invite_created_by_user')),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_invite_study_id_study')),
    sa.ForeignKeyConstraint(['used_by'], ['user.id'], name=op.f('fk_invite_used_by_user')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_invite_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_invite')),
    sa.UniqueConstraint('token_sha256', name=op.f('uq_invite_token_sha256'))
    )
    with op.batch_alter_table('invite', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_invite_study_id'), ['study_id'], unique=False)

    op.create_table('item',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('prompt', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_item_study_id_study')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_item')),
    sa.UniqueConstraint('study_id', 'position', name=op.f('uq_item_study_id_position'))
    )
    op.create_table('membership',
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('user_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('pid', sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
    sa.Column('joined_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_membership_study_id_study')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_membership_user_id_user')),
    sa.PrimaryKeyConstraint('study_id', 'user_id', name=op.f('pk_membership')),
    sa.UniqueConstraint('study_id', 'pid', name=op.f('uq_membership_study_id_pid'))
    )
    with op.batch_alter_table('membership', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_membership_user_id'), ['user_id'], unique=False)

    op.create_table('itemresponse',
    sa.Column('item_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('arm_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('response_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.ForeignKeyConstraint(['arm_id'], ['arm.id'], name=op.f('fk_itemresponse_arm_id_arm')),
    sa.ForeignKeyConstraint(['item_id'], ['item.id'], name=op.f('fk_itemresponse_item_id_item')),
    sa.ForeignKeyConstraint(['response_id'], ['response.id'], name=op.f('fk_itemresponse_response_id_response')),
    sa.PrimaryKeyConstraint('item_id', 'arm_id', name=op.f('pk_itemresponse'))
    )
    op.create_table('pair',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('first_arm_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('second_arm_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.ForeignKeyConstraint(['first_arm_id'], ['arm.id'], name=op.f('fk_pair_first_arm_id_arm')),
    sa.ForeignKeyConstraint(['second_arm_id'], ['arm.id'], name=op.f('fk_pair_second_arm_id_arm')),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_pair_study_id_study')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_pair')),
    sa.UniqueConstraint('study_id', 'first_arm_id', 'second_arm_id', name=op.f('uq_pair_study_id_first_arm_id_second_arm_id'))
    )
    op.create_table('presentation',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('item_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('pair_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('annotator_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('left_arm_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('right_arm_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('left_response_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('right_response_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('side_order_key', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
    sa.Column('state', sa.Enum('leased', 'submitted', 'skipped', 'expired', name='presentationstate', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('leased_until', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('submitted_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['annotator_id'], ['user.id'], name=op.f('fk_presentation_annotator_id_user')),
    sa.ForeignKeyConstraint(['item_id'], ['item.id'], name=op.f('fk_presentation_item_id_item')),
    sa.ForeignKeyConstraint(['left_arm_id'], ['arm.id'], name=op.f('fk_presentation_left_arm_id_arm')),
    sa.ForeignKeyConstraint(['left_response_id'], ['response.id'], name=op.f('fk_presentation_left_response_id_response')),
    sa.ForeignKeyConstraint(['pair_id'], ['pair.id'], name=op.f('fk_presentation_pair_id_pair')),
    sa.ForeignKeyConstraint(['right_arm_id'], ['arm.id'], name=op.f('fk_presentation_right_arm_id_arm')),
    sa.ForeignKeyConstraint(['right_response_id'], ['response.id'], name=op.f('fk_presentation_right_response_id_response')),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_presentation_study_id_study')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_presentation')),
    sa.UniqueConstraint('annotator_id', 'item_id', 'pair_id', name=op.f('uq_presentation_annotator_id_item_id_pair_id'))
    )
    with op.batch_alter_table('presentation', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_presentation_item_id'), ['item_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_presentation_study_id'), ['study_id'], unique=False)

    op.create_table('revision',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('presentation_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('idempotency_key', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
    sa.Column('kind', sa.Enum('draft', 'submitted', name='revisionkind', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('preference', sa.Enum('left', 'right', 'tie_good', 'tie_bad', 'cannot_judge', name='preference', native_enum=False, create_constraint=True), nullable=True),
    sa.Column('ratings', sa.JSON(), nullable=False),
    sa.Column('comment', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('flagged', sa.Boolean(), nullable=False),
    sa.Column('skip_reason', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('recognised_model', sa.Boolean(), nullable=False),
    sa.Column('active_ms', sa.Integer(), nullable=False),
    sa.Column('wall_ms', sa.Integer(), nullable=False),
    sa.Column('guideline_version', sa.Integer(), nullable=False),
    sa.Column('app_version', sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.CheckConstraint("kind = 'draft' OR preference IS NOT NULL", name=op.f('ck_revision_submitted_has_preference')),
    sa.ForeignKeyConstraint(['presentation_id'], ['presentation.id'], name=op.f('fk_revision_presentation_id_presentation')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_revision')),
    sa.UniqueConstraint('presentation_id', 'idempotency_key', name=op.f('uq_revision_presentation_id_idempotency_key')),
    sa.UniqueConstraint('presentation_id', 'number', name=op.f('uq_revision_presentation_id_number'))
    )
    op.create_table('span',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('revision_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('side', sa.Enum('left', 'right', name='side', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('start', sa.Integer(), nullable=False),
    sa.Column('end', sa.Integer(), nullable=False),
    sa.Column('quote', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('prefix', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('suffix', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('type', sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
    sa.Column('severity', sa.Enum('minor', 'major', name='severity', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('note', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.CheckConstraint('"start" >= 0 AND "end" > "start"', name=op.f('ck_span_span_in_order')),
    sa.ForeignKeyConstraint(['revision_id'], ['revision.id'], name=op.f('fk_span_revision_id_revision')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_span'))
    )
    with op.batch_alter_table('span', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_span_revision_id'), ['revision_id'], unique=False)



def downgrade() -> None:
    with op.batch_alter_table('span', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_span_revision_id'))

    op.drop_table('span')
    op.drop_table('revision')
    with op.batch_alter_table('presentation', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_presentation_study_id'))
        batch_op.drop_index(batch_op.f('ix_presentation_item_id'))

    op.drop_table('presentation')
    op.drop_table('pair')
    op.drop_table('itemresponse')
    with op.batch_alter_table('membership', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_membership_user_id'))

    op.drop_table('membership')
    op.drop_table('item')
    with op.batch_alter_table('invite', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_invite_study_id'))

    op.drop_table('invite')
    op.drop_table('comparisoncolumn')
    op.drop_table('arm')
    op.drop_table('trace')
    with op.batch_alter_table('study', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_study_created_by'))

    op.drop_table('study')
    with op.batch_alter_table('comparison', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_comparison_created_by'))
        batch_op.drop_index(batch_op.f('ix_comparison_created_at'))

    op.drop_table('comparison')
    op.drop_table('user')
    with op.batch_alter_table('response', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_response_text_sha256'))
        batch_op.drop_index(batch_op.f('ix_response_checkpoint'))

    op.drop_table('response')
