"""Indexes for what every save asks: which places of a study are taken, and what one person was handed."""

from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None

_INDEXES = {
    'ix_presentation_places': ['study_id', 'state', 'item_id', 'pair_id', 'left_arm_id', 'annotator_id'],
    'ix_presentation_handed': ['study_id', 'annotator_id', 'state'],
}


def upgrade() -> None:
    for name, columns in _INDEXES.items():
        op.create_index(name, 'presentation', columns, unique=False)


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, 'presentation')
