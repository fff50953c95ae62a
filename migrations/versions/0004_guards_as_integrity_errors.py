"""The guards of PostgreSQL refuse with the class of an integrity violation, as SQLite's do."""

from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

_QUOTED = (
    'SELECT 1 FROM revision r JOIN presentation p ON p.id = r.presentation_id JOIN response t '
    "ON t.id = CASE NEW.side WHEN 'left' THEN p.left_response_id ELSE p.right_response_id END "
    'WHERE r.id = NEW.revision_id AND substr(t.text, NEW."start" + 1, NEW."end" - NEW."start") = NEW.quote'
)


def upgrade() -> None:
    _refuse_with(" USING ERRCODE = 'integrity_constraint_violation'")


def downgrade() -> None:
    _refuse_with('')


def _refuse_with(code):
    if op.get_bind().dialect.name == 'sqlite':
        return
    op.execute(
        'CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS '
        f"$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME{code}; END $$"
    )
    op.execute(
        'CREATE OR REPLACE FUNCTION refuse_misquote() RETURNS trigger LANGUAGE plpgsql AS '
        f"$$ BEGIN IF NOT EXISTS ({_QUOTED}) THEN RAISE EXCEPTION 'a span does not quote its response'{code}; "
        'END IF; RETURN NEW; END $$'
    )
