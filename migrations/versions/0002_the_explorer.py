"""Traces by checkpoint and base prompt, branches, tuning sets, scored files, the lexicon."""

import secrets

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('lexicon',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('sha256', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
    sa.Column('words', sa.JSON(), nullable=False),
    sa.Column('created_by', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['created_by'], ['user.id'], name=op.f('fk_lexicon_created_by_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_lexicon'))
    )
    with op.batch_alter_table('lexicon', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_lexicon_created_at'), ['created_at'], unique=False)

    op.create_table('scoredfile',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('name', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('sha256', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
    sa.Column('tuned', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('base', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('state', sa.Enum('reading', 'storing', 'ready', 'failed', name='filestate', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('n', sa.Integer(), nullable=False),
    sa.Column('done', sa.Integer(), nullable=False),
    sa.Column('problems', sa.JSON(), nullable=False),
    sa.Column('touched_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.Column('created_by', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['created_by'], ['user.id'], name=op.f('fk_scoredfile_created_by_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_scoredfile')),
    sa.UniqueConstraint('sha256', name=op.f('uq_scoredfile_sha256'))
    )
    op.create_table('tuningset',
    sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('name', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('sha256', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
    sa.Column('filename', sqlmodel.sql.sqltypes.AutoString(length=400), nullable=False),
    sa.Column('shape', sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
    sa.Column('n', sa.Integer(), nullable=False),
    sa.Column('state', sa.Enum('reading', 'indexing', 'ready', 'failed', name='importstate', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('done', sa.Integer(), nullable=False),
    sa.Column('total', sa.Integer(), nullable=False),
    sa.Column('message', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('created_by', sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['created_by'], ['user.id'], name=op.f('fk_tuningset_created_by_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tuningset')),
    sa.UniqueConstraint('name', 'version', name=op.f('uq_tuningset_name_version'))
    )
    with op.batch_alter_table('tuningset', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_tuningset_sha256'), ['sha256'], unique=False)

    op.create_table('borrowing',
    sa.Column('response_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('checkpoint', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('set_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('method', sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
    sa.Column('shifted', sa.Integer(), nullable=False),
    sa.Column('found', sa.Integer(), nullable=True),
    sa.Column('expected', sa.Float(), nullable=True),
    sa.Column('p_value', sa.Float(), nullable=True),
    sa.Column('content_shifted', sa.Integer(), nullable=False),
    sa.Column('content_found', sa.Integer(), nullable=True),
    sa.Column('content_expected', sa.Float(), nullable=True),
    sa.Column('unshifted', sa.Integer(), nullable=False),
    sa.Column('unshifted_found', sa.Integer(), nullable=True),
    sa.Column('unshifted_expected', sa.Float(), nullable=True),
    sa.Column('unshifted_content', sa.Integer(), nullable=False),
    sa.Column('unshifted_content_found', sa.Integer(), nullable=True),
    sa.Column('unshifted_content_expected', sa.Float(), nullable=True),
    sa.Column('draws', sa.Integer(), nullable=False),
    sa.Column('neighbours', sa.Integer(), nullable=False),
    sa.Column('verbatim_spans', sa.Integer(), nullable=False),
    sa.Column('verbatim_characters', sa.Integer(), nullable=False),
    sa.Column('reason', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['response_id'], ['response.id'], name=op.f('fk_borrowing_response_id_response')),
    sa.ForeignKeyConstraint(['set_id'], ['tuningset.id'], name=op.f('fk_borrowing_set_id_tuningset')),
    sa.PrimaryKeyConstraint('response_id', 'checkpoint', 'set_id', name=op.f('pk_borrowing'))
    )
    op.create_table('scoredline',
    sa.Column('file_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('record_id', sqlmodel.sql.sqltypes.AutoString(length=400), nullable=False),
    sa.Column('response_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.ForeignKeyConstraint(['file_id'], ['scoredfile.id'], name=op.f('fk_scoredline_file_id_scoredfile')),
    sa.ForeignKeyConstraint(['response_id'], ['response.id'], name=op.f('fk_scoredline_response_id_response')),
    sa.PrimaryKeyConstraint('file_id', 'position', name=op.f('pk_scoredline'))
    )
    with op.batch_alter_table('scoredline', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_scoredline_response_id'), ['response_id'], unique=False)

    op.create_table('tuninginstance',
    sa.Column('set_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('instance_id', sqlmodel.sql.sqltypes.AutoString(length=400), nullable=False),
    sa.Column('instruction', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('answer', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('turns', sa.JSON(), nullable=True),
    sa.ForeignKeyConstraint(['set_id'], ['tuningset.id'], name=op.f('fk_tuninginstance_set_id_tuningset')),
    sa.PrimaryKeyConstraint('set_id', 'position', name=op.f('pk_tuninginstance'))
    )
    op.create_table('tuningsetuse',
    sa.Column('set_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('checkpoint', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('created_at', sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['set_id'], ['tuningset.id'], name=op.f('fk_tuningsetuse_set_id_tuningset')),
    sa.PrimaryKeyConstraint('set_id', 'checkpoint', name=op.f('pk_tuningsetuse'))
    )
    with op.batch_alter_table('comparison', schema=None) as batch_op:
        batch_op.add_column(sa.Column('fork_of', sqlmodel.sql.sqltypes.AutoString(), nullable=True))
        batch_op.add_column(sa.Column('fork_index', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('fork_token_id', sa.Integer(), nullable=True))
        batch_op.create_index(batch_op.f('ix_comparison_fork_of'), ['fork_of'], unique=False)
        batch_op.create_foreign_key(batch_op.f('fk_comparison_fork_of_response'), 'response', ['fork_of'], ['id'])

    with op.batch_alter_table('response', schema=None) as batch_op:
        batch_op.add_column(sa.Column('origin', sa.Enum('generated', 'pasted', 'imported', name='origin', native_enum=False, create_constraint=True), nullable=False, server_default='generated'))
        batch_op.add_column(sa.Column('parent_id', sqlmodel.sql.sqltypes.AutoString(), nullable=True))
        batch_op.add_column(sa.Column('fork_index', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('created_by', sqlmodel.sql.sqltypes.AutoString(), nullable=True))
        batch_op.create_index(batch_op.f('ix_response_parent_id'), ['parent_id'], unique=False)
        batch_op.create_foreign_key(batch_op.f('fk_response_created_by_user'), 'user', ['created_by'], ['id'])
        batch_op.create_foreign_key(batch_op.f('fk_response_parent_id_response'), 'response', ['parent_id'], ['id'])

    with op.batch_alter_table('response', schema=None) as batch_op:
        batch_op.alter_column('origin', server_default=None)

    _rekey_traces(up=True)

    op.create_table('traceaggregate',
    sa.Column('trace_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('response_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column('checkpoint', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
    sa.Column('base_prompt', sa.Enum('same_ids', 'plain', 'few_shot', name='baseprompt', native_enum=False, create_constraint=True), nullable=False),
    sa.Column('prompt_sha256', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
    sa.Column('n', sa.Integer(), nullable=False),
    sa.Column('unshifted', sa.Integer(), nullable=False),
    sa.Column('marginal', sa.Integer(), nullable=False),
    sa.Column('shifted', sa.Integer(), nullable=False),
    sa.Column('first5_n', sa.Integer(), nullable=False),
    sa.Column('first5_marginal', sa.Integer(), nullable=False),
    sa.Column('first5_shifted', sa.Integer(), nullable=False),
    sa.Column('late_shift_share', sa.Float(), nullable=True),
    sa.Column('first_shift_at', sa.Float(), nullable=True),
    sa.Column('max_base_rank', sa.Integer(), nullable=True),
    sa.Column('mean_logprob_difference', sa.Float(), nullable=True),
    sa.Column('peak_logprob_difference', sa.Float(), nullable=True),
    sa.Column('mean_kl_tuned_base', sa.Float(), nullable=True),
    sa.Column('max_kl_tuned_base', sa.Float(), nullable=True),
    sa.Column('last95_kl_tuned_base', sa.Float(), nullable=True),
    sa.Column('mean_kl_base_tuned', sa.Float(), nullable=True),
    sa.Column('max_kl_base_tuned', sa.Float(), nullable=True),
    sa.Column('last95_kl_base_tuned', sa.Float(), nullable=True),
    sa.Column('mean_base_entropy', sa.Float(), nullable=True),
    sa.Column('mean_tuned_entropy', sa.Float(), nullable=True),
    sa.Column('mean_surprisal', sa.Float(), nullable=True),
    sa.Column('mean_top_k_overlap', sa.Float(), nullable=True),
    sa.Column('content_shifted', sa.Integer(), nullable=True),
    sa.Column('lexicon_sha256', sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
    sa.Column('token_types', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['response_id'], ['response.id'], name=op.f('fk_traceaggregate_response_id_response')),
    sa.ForeignKeyConstraint(['trace_id'], ['trace.id'], name=op.f('fk_traceaggregate_trace_id_trace')),
    sa.PrimaryKeyConstraint('trace_id', name=op.f('pk_traceaggregate'))
    )
    with op.batch_alter_table('traceaggregate', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_traceaggregate_lexicon_sha256'), ['lexicon_sha256'], unique=False)
        batch_op.create_index('ix_traceaggregate_source', ['response_id', 'checkpoint', 'base_prompt'], unique=False)


def downgrade() -> None:
    with op.batch_alter_table('traceaggregate', schema=None) as batch_op:
        batch_op.drop_index('ix_traceaggregate_source')
        batch_op.drop_index(batch_op.f('ix_traceaggregate_lexicon_sha256'))

    op.drop_table('traceaggregate')
    _rekey_traces(up=False)
    with op.batch_alter_table('response', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_response_parent_id_response'), type_='foreignkey')
        batch_op.drop_constraint(batch_op.f('fk_response_created_by_user'), type_='foreignkey')
        batch_op.drop_index(batch_op.f('ix_response_parent_id'))
        batch_op.drop_constraint(batch_op.f('ck_response_origin'), type_='check')
        batch_op.drop_column('created_by')
        batch_op.drop_column('fork_index')
        batch_op.drop_column('parent_id')
        batch_op.drop_column('origin')

    with op.batch_alter_table('comparison', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_comparison_fork_of_response'), type_='foreignkey')
        batch_op.drop_index(batch_op.f('ix_comparison_fork_of'))
        batch_op.drop_column('fork_token_id')
        batch_op.drop_column('fork_index')
        batch_op.drop_column('fork_of')

    op.drop_table('tuningsetuse')
    op.drop_table('tuninginstance')
    with op.batch_alter_table('scoredline', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_scoredline_response_id'))

    op.drop_table('scoredline')
    op.drop_table('borrowing')
    with op.batch_alter_table('tuningset', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_tuningset_sha256'))

    op.drop_table('tuningset')
    op.drop_table('scoredfile')
    with op.batch_alter_table('lexicon', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_lexicon_created_at'))

    op.drop_table('lexicon')


_FACTS = [
    'kl_kind', 'dtype', 'border_width', 'n', 'unshifted', 'marginal', 'shifted',
    'mean_kl_tuned_base', 'mean_kl_base_tuned', 'tokens', 'created_at',
]


def _facts():
    return [
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
    ]


def _keys_then():
    return [
        sa.Column('response_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column('reference', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.PrimaryKeyConstraint('response_id', 'reference', name=op.f('pk_trace')),
    ]


def _keys_now():
    base_prompts = sa.Enum('same_ids', 'plain', 'few_shot', name='baseprompt', native_enum=False, create_constraint=True)
    return [
        sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column('response_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column('checkpoint', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column('reference', sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column('base_prompt', base_prompts, nullable=False),
        sa.Column('prompt_ids', sa.JSON(), nullable=False),
        sa.Column('engine', sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column('engine_version', sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_trace')),
        sa.UniqueConstraint(
            'response_id', 'checkpoint', 'reference', 'base_prompt',
            name=op.f('uq_trace_response_id_checkpoint_reference_base_prompt'),
        ),
    ]


def _rekey_traces(*, up: bool) -> None:
    """Move the traces into a table with the other keys; row by row, because a run record is JSON."""
    bind = op.get_bind()
    old = sa.Table('trace', sa.MetaData(), autoload_with=bind)
    # An index or constraint keeps its name when its table is renamed, so the new table is made under another name. In
    # PostgreSQL the name of a key is one of the whole schema; foreign keys and checks have theirs within a table.
    if bind.dialect.name == 'postgresql':
        op.execute('ALTER TABLE trace RENAME CONSTRAINT pk_trace TO pk_trace_then')
    op.create_table('trace_new', *(_keys_now() if up else _keys_then()), *_facts())
    new = sa.Table('trace_new', sa.MetaData(), autoload_with=bind)
    facts = [old.c[name] for name in _FACTS]
    for key, values in list(_new_keys(bind, old) if up else _old_keys(bind, old)):
        columns = [sa.literal(value, new.c[name].type).label(name) for name, value in values.items()]
        chosen = sa.select(*columns, *facts).where(*(old.c[name] == value for name, value in key.items()))
        bind.execute(new.insert().from_select([*values, *_FACTS], chosen))
    op.drop_table('trace')
    op.rename_table('trace_new', 'trace')


def _new_keys(bind, old):
    response = sa.table('response', sa.column('id'), sa.column('checkpoint'), sa.column('prompt_ids', sa.JSON), sa.column('run', sa.JSON))
    rows = sa.select(old.c.response_id, old.c.reference, response.c.checkpoint, response.c.prompt_ids, response.c.run)
    for row in bind.execute(rows.join(response, response.c.id == old.c.response_id)):
        run = row.run or {}
        key = {'response_id': row.response_id, 'reference': row.reference}
        yield key, {
            **key,
            'id': secrets.token_hex(8),
            'checkpoint': row.checkpoint,
            'base_prompt': run.get('base_prompt') or 'same_ids',
            'prompt_ids': {'own': row.prompt_ids, 'reference': run.get('reference_prompt_ids') or row.prompt_ids},
            'engine': run.get('engine') or '',
            'engine_version': run.get('engine_version') or '',
        }


def _old_keys(bind, old):
    """Keep, of several views of a response against one reference, that of the checkpoint which wrote it."""
    response = sa.table('response', sa.column('id'), sa.column('checkpoint'))
    rows = (
        sa.select(old.c.id, old.c.response_id, old.c.reference)
        .join(response, (response.c.id == old.c.response_id) & (response.c.checkpoint == old.c.checkpoint))
        .order_by(old.c.base_prompt.desc(), old.c.created_at)
    )
    kept = {(row.response_id, row.reference): row.id for row in bind.execute(rows)}
    for (response_id, reference), trace_id in kept.items():
        yield {'id': trace_id}, {'response_id': response_id, 'reference': reference}
