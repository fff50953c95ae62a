"""Studies in full: people, questions, leak flags, generation runs, exclusions, evidence; guards on what is append-only."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


_NEW = {
    'arm': ('special',),
    'invite': ('note',),
    'item': ('kind', 'expected', 'why'),
    'itemresponse': ('withheld', 'scanned_with'),
    'membership': ('role', 'state', 'told', 'guideline_seen', 'extra_tries'),
    'pair': ('special',),
    'revision': ('acceptability', 'recognised_guess', 'reading', 'edit_reason'),
    'span': ('no_evidence',),
    'study': ('preset', 'questions', 'comprehension', 'repeat_items', 'allow_holes', 'withdrawal', 'completion_code'),
    'user': ('shortcuts',),
}


def upgrade() -> None:
    op.create_table('comprehensionattempt',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('user_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('answers', sa.JSON(), nullable=False),
    sa.Column('right', sa.Integer(), nullable=False),
    sa.Column('passed', sa.Boolean(), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_comprehensionattempt_study_id_study')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_comprehensionattempt_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_comprehensionattempt')),
    sa.UniqueConstraint('study_id', 'user_id', 'number', name=op.f('uq_comprehensionattempt_study_id_user_id_number'))
    )
    op.create_table('exclusion',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('rule', sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
    sa.Column('settings', sa.JSON(), nullable=False),
    sa.Column('reason', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('created_by', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('revoked_by', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column('revoked_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['created_by'], ['user.id'], name=op.f('fk_exclusion_created_by_user')),
    sa.ForeignKeyConstraint(['revoked_by'], ['user.id'], name=op.f('fk_exclusion_revoked_by_user')),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_exclusion_study_id_study')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_exclusion'))
    )
    with op.batch_alter_table('exclusion', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_exclusion_study_id'), ['study_id'], unique=False)

    op.create_table('exitanswer',
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('user_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('recognised_model', sa.Boolean(), nullable=False),
    sa.Column('recognised_guess', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('comment', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_exitanswer_study_id_study')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_exitanswer_user_id_user')),
    sa.PrimaryKeyConstraint('study_id', 'user_id', name=op.f('pk_exitanswer'))
    )
    op.create_table('export',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('state', sa.Enum('running', 'done', 'failed', name='exportstate', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('external_ids', sa.Boolean(), nullable=False),
    sa.Column('done', sa.BigInteger(), nullable=False),
    sa.Column('total', sa.BigInteger(), nullable=False),
    sa.Column('message', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('fingerprint', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
    sa.Column('sha256', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
    sa.Column('bytes', sa.BigInteger(), nullable=False),
    sa.Column('as_of', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.Column('created_by', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('touched_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['created_by'], ['user.id'], name=op.f('fk_export_created_by_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_export'))
    )
    with op.batch_alter_table('export', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_export_study_id'), ['study_id'], unique=False)

    op.create_table('generationrun',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('state', sa.Enum('running', 'done', 'stopped', 'failed', 'interrupted', name='generationstate', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('done', sa.Integer(), nullable=False),
    sa.Column('total', sa.Integer(), nullable=False),
    sa.Column('message', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('created_by', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('touched_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['created_by'], ['user.id'], name=op.f('fk_generationrun_created_by_user')),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_generationrun_study_id_study')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_generationrun'))
    )
    with op.batch_alter_table('generationrun', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_generationrun_study_id'), ['study_id'], unique=False)

    op.create_table('guideline',
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('text', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('created_by', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['created_by'], ['user.id'], name=op.f('fk_guideline_created_by_user')),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_guideline_study_id_study')),
    sa.PrimaryKeyConstraint('study_id', 'version', name=op.f('pk_guideline'))
    )
    op.create_table('leakflag',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('response_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('kind', sa.Enum('self_identification', 'house_style', 'template', 'truncation', 'sameness', name='leakkind', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('start', sa.Integer(), nullable=False),
    sa.Column('end', sa.Integer(), nullable=False),
    sa.Column('quote', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('detail', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('decision', sa.Enum('undecided', 'keep', 'redact', 'exclude', name='leakdecision', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('decided_by', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column('decided_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['decided_by'], ['user.id'], name=op.f('fk_leakflag_decided_by_user')),
    sa.ForeignKeyConstraint(['response_id'], ['response.id'], name=op.f('fk_leakflag_response_id_response')),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_leakflag_study_id_study')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_leakflag')),
    sa.UniqueConstraint('study_id', 'response_id', 'kind', 'start', 'end', name=op.f('uq_leakflag_study_id_response_id_kind_start_end'))
    )
    with op.batch_alter_table('leakflag', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_leakflag_response_id'), ['response_id'], unique=False)

    op.create_table('studyevent',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('user_id', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column('action', sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
    sa.Column('detail', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_studyevent_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_studyevent'))
    )
    with op.batch_alter_table('studyevent', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_studyevent_study_id'), ['study_id'], unique=False)

    op.create_table('responsefailure',
    sa.Column('item_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('arm_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('sentence', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('failed_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['arm_id'], ['arm.id'], name=op.f('fk_responsefailure_arm_id_arm')),
    sa.ForeignKeyConstraint(['item_id'], ['item.id'], name=op.f('fk_responsefailure_item_id_item')),
    sa.PrimaryKeyConstraint('item_id', 'arm_id', name=op.f('pk_responsefailure'))
    )
    op.create_table('evidence',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('presentation_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('side', sa.Enum('left', 'right', name='side', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('start', sa.Integer(), nullable=False),
    sa.Column('end', sa.Integer(), nullable=False),
    sa.Column('place', sa.Integer(), nullable=False),
    sa.Column('set_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('is_decoy', sa.Boolean(), nullable=False),
    sa.Column('origin', sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
    sa.Column('score', sa.Float(), nullable=True),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['presentation_id'], ['presentation.id'], name=op.f('fk_evidence_presentation_id_presentation')),
    sa.ForeignKeyConstraint(['set_id'], ['tuningset.id'], name=op.f('fk_evidence_set_id_tuningset')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_evidence')),
    sa.UniqueConstraint('presentation_id', 'side', 'start', 'end', 'place', name=op.f('uq_evidence_presentation_id_side_start_end_place'))
    )
    op.create_table('evidenceopening',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('evidence_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('opened_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['evidence_id'], ['evidence.id'], name=op.f('fk_evidenceopening_evidence_id_evidence')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_evidenceopening'))
    )
    with op.batch_alter_table('evidenceopening', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_evidenceopening_evidence_id'), ['evidence_id'], unique=False)

    op.create_table('evidenceanswer',
    sa.Column('span_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('evidence_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('verdict', sa.Enum('borrowed', 'similar', 'unrelated', name='evidenceverdict', native_enum=False, create_constraint=True), nullable=False),
    sa.ForeignKeyConstraint(['evidence_id'], ['evidence.id'], name=op.f('fk_evidenceanswer_evidence_id_evidence')),
    sa.ForeignKeyConstraint(['span_id'], ['span.id'], name=op.f('fk_evidenceanswer_span_id_span')),
    sa.PrimaryKeyConstraint('span_id', 'evidence_id', name=op.f('pk_evidenceanswer'))
    )
    op.create_table('studyfindings',
    sa.Column('study_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('stamp', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
    sa.Column('judgments', sa.Integer(), nullable=False),
    sa.Column('findings', sa.JSON(), nullable=False),
    sa.Column('as_of', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_studyfindings_study_id_study')),
    sa.PrimaryKeyConstraint('study_id', name=op.f('pk_studyfindings'))
    )
    with op.batch_alter_table('presentation', schema=None) as batch_op:
        batch_op.create_index('ix_presentation_submitted', ['study_id', 'submitted_at'], unique=False)

    with op.batch_alter_table('arm', schema=None) as batch_op:
        batch_op.add_column(sa.Column('special', sa.Boolean(), nullable=False, server_default=sa.false()))

    with op.batch_alter_table('invite', schema=None) as batch_op:
        batch_op.add_column(sa.Column('note', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('revoked_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True))

    with op.batch_alter_table('item', schema=None) as batch_op:
        batch_op.add_column(sa.Column('kind', sa.Enum('regular', 'practice', 'gold', name='itemkind', native_enum=False, create_constraint=True), nullable=False, server_default='regular'))
        batch_op.add_column(sa.Column('overlap', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('expected', sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('why', sqlmodel.sql.sqltypes.AutoString(), nullable=False, server_default=''))

    with op.batch_alter_table('itemresponse', schema=None) as batch_op:
        batch_op.add_column(sa.Column('withheld', sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column('scanned_with', sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False, server_default=''))
        batch_op.create_index(batch_op.f('ix_itemresponse_response_id'), ['response_id'], unique=False)

    with op.batch_alter_table('membership', schema=None) as batch_op:
        batch_op.add_column(sa.Column('role', sa.Enum('annotator', 'researcher', 'owner', name='role', native_enum=False, create_constraint=True), nullable=False, server_default='annotator'))
        batch_op.add_column(sa.Column('state', sa.Enum('active', 'paused', 'withdrawn', name='memberstate', native_enum=False, create_constraint=True), nullable=False, server_default='active'))
        batch_op.add_column(sa.Column('state_changed_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column('told', sqlmodel.sql.sqltypes.AutoString(), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('stopped_by', sqlmodel.sql.sqltypes.AutoString(), nullable=True))
        batch_op.add_column(sa.Column('external_id', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=True))
        batch_op.add_column(sa.Column('guideline_seen', sa.Integer(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('extra_tries', sa.Integer(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('joined_beside', sqlmodel.sql.sqltypes.AutoString(), nullable=True))
        batch_op.create_foreign_key(batch_op.f('fk_membership_stopped_by_user'), 'user', ['stopped_by'], ['id'])
        batch_op.create_foreign_key(batch_op.f('fk_membership_joined_beside_user'), 'user', ['joined_beside'], ['id'])
        batch_op.create_unique_constraint(batch_op.f('uq_membership_study_id_external_id'), ['study_id', 'external_id'])

    with op.batch_alter_table('pair', schema=None) as batch_op:
        batch_op.add_column(sa.Column('special', sa.Boolean(), nullable=False, server_default=sa.false()))

    with op.batch_alter_table('presentation', schema=None) as batch_op:
        batch_op.add_column(sa.Column('imported_from', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True))

    with op.batch_alter_table('revision', schema=None) as batch_op:
        batch_op.add_column(sa.Column('strength', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('acceptability', sa.JSON(), nullable=False, server_default='{}'))
        batch_op.add_column(sa.Column('recognised_guess', sqlmodel.sql.sqltypes.AutoString(), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('reading', sa.JSON(), nullable=False, server_default='{}'))
        batch_op.add_column(sa.Column('edit_reason', sqlmodel.sql.sqltypes.AutoString(), nullable=False, server_default=''))
        batch_op.create_index(batch_op.f('ix_revision_created_at'), ['created_at'])

    with op.batch_alter_table('span', schema=None) as batch_op:
        batch_op.add_column(sa.Column('no_evidence', sa.Boolean(), nullable=False, server_default=sa.false()))

    with op.batch_alter_table('study', schema=None) as batch_op:
        batch_op.add_column(sa.Column('preset', sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('questions', sa.JSON(), nullable=False, server_default='{}'))
        batch_op.add_column(sa.Column('comprehension', sa.JSON(), nullable=False, server_default='[]'))
        batch_op.add_column(sa.Column('per_annotator', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('repeat_items', sa.Boolean(), nullable=False, server_default=sa.true()))
        batch_op.add_column(sa.Column('target', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('ends_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column('allow_holes', sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column('withdrawal', sa.Enum('keep', 'exclude', name='withdrawalpolicy', native_enum=False, create_constraint=True), nullable=False, server_default='keep'))
        batch_op.add_column(sa.Column('open_link_sha256', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True))
        batch_op.add_column(sa.Column('completion_code', sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False, server_default=''))
        batch_op.create_unique_constraint(batch_op.f('uq_study_open_link_sha256'), ['open_link_sha256'])

    with op.batch_alter_table('user', schema=None) as batch_op:
        batch_op.add_column(sa.Column('shortcuts', sa.JSON(), nullable=False, server_default='{}'))

    # The defaults were for the rows that are there; from now on the app says what a value is.
    for table, columns in _NEW.items():
        with op.batch_alter_table(table, schema=None) as batch_op:
            for column in columns:
                batch_op.alter_column(column, server_default=None)

    # Until now every researcher among the members saw the study's results; they still do.
    op.execute('UPDATE membership SET role = \'researcher\' '
               'WHERE user_id IN (SELECT id FROM "user" WHERE role <> \'annotator\')')
    op.execute('INSERT INTO guideline (study_id, version, text, created_by, created_at) '
               'SELECT id, guideline_version, guidelines, created_by, created_at FROM study')
    for statement in _guards(op.get_bind().dialect.name):
        op.execute(statement)


def downgrade() -> None:
    for statement in _no_guards(op.get_bind().dialect.name):
        op.execute(statement)

    with op.batch_alter_table('user', schema=None) as batch_op:
        batch_op.drop_column('shortcuts')

    with op.batch_alter_table('study', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('uq_study_open_link_sha256'), type_='unique')
        batch_op.drop_column('completion_code')
        batch_op.drop_column('open_link_sha256')
        batch_op.drop_constraint(batch_op.f('ck_study_withdrawalpolicy'), type_='check')
        batch_op.drop_column('withdrawal')
        batch_op.drop_column('allow_holes')
        batch_op.drop_column('ends_at')
        batch_op.drop_column('target')
        batch_op.drop_column('repeat_items')
        batch_op.drop_column('per_annotator')
        batch_op.drop_column('comprehension')
        batch_op.drop_column('questions')
        batch_op.drop_column('preset')

    with op.batch_alter_table('span', schema=None) as batch_op:
        batch_op.drop_column('no_evidence')

    with op.batch_alter_table('revision', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_revision_created_at'))
        batch_op.drop_column('edit_reason')
        batch_op.drop_column('reading')
        batch_op.drop_column('recognised_guess')
        batch_op.drop_column('acceptability')
        batch_op.drop_column('strength')

    with op.batch_alter_table('presentation', schema=None) as batch_op:
        batch_op.drop_column('imported_from')

    with op.batch_alter_table('pair', schema=None) as batch_op:
        batch_op.drop_column('special')

    with op.batch_alter_table('membership', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('uq_membership_study_id_external_id'), type_='unique')
        batch_op.drop_constraint(batch_op.f('fk_membership_joined_beside_user'), type_='foreignkey')
        batch_op.drop_constraint(batch_op.f('fk_membership_stopped_by_user'), type_='foreignkey')
        batch_op.drop_column('joined_beside')
        batch_op.drop_column('extra_tries')
        batch_op.drop_column('guideline_seen')
        batch_op.drop_column('external_id')
        batch_op.drop_column('stopped_by')
        batch_op.drop_column('told')
        batch_op.drop_column('state_changed_at')
        batch_op.drop_constraint(batch_op.f('ck_membership_memberstate'), type_='check')
        batch_op.drop_column('state')
        batch_op.drop_constraint(batch_op.f('ck_membership_role'), type_='check')
        batch_op.drop_column('role')

    with op.batch_alter_table('itemresponse', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_itemresponse_response_id'))
        batch_op.drop_column('scanned_with')
        batch_op.drop_column('withheld')

    with op.batch_alter_table('item', schema=None) as batch_op:
        batch_op.drop_column('why')
        batch_op.drop_column('expected')
        batch_op.drop_column('overlap')
        batch_op.drop_constraint(batch_op.f('ck_item_itemkind'), type_='check')
        batch_op.drop_column('kind')

    with op.batch_alter_table('invite', schema=None) as batch_op:
        batch_op.drop_column('revoked_at')
        batch_op.drop_column('note')

    with op.batch_alter_table('arm', schema=None) as batch_op:
        batch_op.drop_column('special')

    with op.batch_alter_table('presentation', schema=None) as batch_op:
        batch_op.drop_index('ix_presentation_submitted')

    op.drop_table('studyfindings')
    op.drop_table('evidenceanswer')
    with op.batch_alter_table('evidenceopening', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_evidenceopening_evidence_id'))

    op.drop_table('evidenceopening')
    op.drop_table('evidence')
    op.drop_table('responsefailure')
    with op.batch_alter_table('studyevent', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_studyevent_study_id'))

    op.drop_table('studyevent')
    with op.batch_alter_table('leakflag', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_leakflag_response_id'))

    op.drop_table('leakflag')
    op.drop_table('guideline')
    with op.batch_alter_table('generationrun', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_generationrun_study_id'))

    op.drop_table('generationrun')
    with op.batch_alter_table('export', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_export_study_id'))

    op.drop_table('export')
    op.drop_table('exitanswer')
    with op.batch_alter_table('exclusion', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_exclusion_study_id'))

    op.drop_table('exclusion')
    op.drop_table('comprehensionattempt')


# What the app promises, the database holds it to: a revision and its spans are never changed or removed, and a span
# quotes its response. `substr` counts code points in both kinds of database, as the offsets do.
_APPEND_ONLY = ('revision', 'span', 'evidenceanswer', 'evidenceopening', 'studyevent')
_QUOTED = (
    'SELECT 1 FROM revision r JOIN presentation p ON p.id = r.presentation_id JOIN response t '
    "ON t.id = CASE NEW.side WHEN 'left' THEN p.left_response_id ELSE p.right_response_id END "
    'WHERE r.id = NEW.revision_id AND substr(t.text, NEW."start" + 1, NEW."end" - NEW."start") = NEW.quote'
)
_BAD_QUOTE = 'a span does not quote its response'


def _guards(dialect):
    if dialect == 'sqlite':
        for table in _APPEND_ONLY:
            for what in ('UPDATE', 'DELETE'):
                yield (
                    f"CREATE TRIGGER {table}_no_{what.lower()} BEFORE {what} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
        yield (
            f'CREATE TRIGGER span_quotes BEFORE INSERT ON span WHEN NOT EXISTS ({_QUOTED}) '
            f"BEGIN SELECT RAISE(ABORT, '{_BAD_QUOTE}'); END"
        )
        return
    yield (
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in _APPEND_ONLY:
        yield (
            f'CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} '
            'FOR EACH ROW EXECUTE FUNCTION refuse_change()'
        )
    yield (
        'CREATE FUNCTION refuse_misquote() RETURNS trigger LANGUAGE plpgsql AS '
        f"$$ BEGIN IF NOT EXISTS ({_QUOTED}) THEN RAISE EXCEPTION '{_BAD_QUOTE}'; END IF; RETURN NEW; END $$"
    )
    yield 'CREATE TRIGGER span_quotes BEFORE INSERT ON span FOR EACH ROW EXECUTE FUNCTION refuse_misquote()'


def _no_guards(dialect):
    if dialect == 'sqlite':
        yield 'DROP TRIGGER span_quotes'
        for table in _APPEND_ONLY:
            yield f'DROP TRIGGER {table}_no_update'
            yield f'DROP TRIGGER {table}_no_delete'
        return
    yield 'DROP TRIGGER span_quotes ON span'
    for table in _APPEND_ONLY:
        yield f'DROP TRIGGER {table}_append_only ON {table}'
    yield 'DROP FUNCTION refuse_misquote()'
    yield 'DROP FUNCTION refuse_change()'
