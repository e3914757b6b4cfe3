"""Commits in different topics no longer wait for each other, and old changes can be removed.

PostgreSQL now assigns positions under a lock per topic. A transaction takes the locks of all its topics at once and in
a fixed order, or two transactions with the same topics could deadlock: the first trigger collects the topics until the
transaction ends. There are 1,024 locks, because one for each of any number of topics would not fit into the server's
lock table. The numbers still come from one sequence, so that they pass the horizon.
"""

from django.db import migrations, models
from django.db.models.functions import Now
from django_migration_linter import IgnoreMigration

POSTGRESQL = """
CREATE FUNCTION live_change_note_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('live_change.locks', concat_ws(
        ' ', nullif(current_setting('live_change.locks', true), ''), hashtext(NEW.topic) & 1023
    ), true);
    RETURN NULL;
END $$;
CREATE TRIGGER live_change_note_lock
    AFTER INSERT OR UPDATE OF position ON live_change
    FOR EACH ROW WHEN (NEW.position IS NULL)
    EXECUTE FUNCTION live_change_note_lock();
CREATE OR REPLACE FUNCTION live_change_assign_position() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    noted text := current_setting('live_change.locks', true);
    lock int;
BEGIN
    IF noted <> '' THEN
        FOR lock IN SELECT DISTINCT each::int FROM string_to_table(noted, ' ') AS each ORDER BY 1 LOOP
            PERFORM pg_advisory_xact_lock(hashtext('live_change'), lock);
        END LOOP;
        PERFORM set_config('live_change.locks', '', true);
    END IF;
    UPDATE live_change SET position = nextval('live_change_position_seq'), at = clock_timestamp() WHERE id = NEW.id;
    RETURN NULL;
END $$;
"""
POSTGRESQL_REVERSE = """
DROP TRIGGER live_change_note_lock ON live_change;
DROP FUNCTION live_change_note_lock();
CREATE OR REPLACE FUNCTION live_change_assign_position() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('live_change'));
    UPDATE live_change SET position = nextval('live_change_position_seq') WHERE id = NEW.id;
    RETURN NULL;
END $$;
"""

# An updated row may have held the highest position itself.
SQLITE = """
CREATE TRIGGER live_change_{event}_position AFTER {timing} ON live_change WHEN NEW.position IS NULL
BEGIN
    UPDATE live_change SET at = strftime('%Y-%m-%d %H:%M:%f', 'now'), position = 1 + max(
        {before},
        coalesce((SELECT max(position) FROM live_change WHERE topic = NEW.topic), 0),
        coalesce((SELECT max(position) FROM live_change WHERE topic = ''), 0)
    ) WHERE id = NEW.id;
END;
"""


def before(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        # SQLite recreates an altered table without its triggers.
        schema_editor.execute("DROP TRIGGER live_change_insert_position")
        schema_editor.execute("DROP TRIGGER live_change_update_position")


def after(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL, params=None)
    else:
        schema_editor.execute(SQLITE.format(event="insert", timing="INSERT", before="0"))
        schema_editor.execute(SQLITE.format(event="update", timing="UPDATE OF position", before="OLD.position"))


def after_reverse(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL_REVERSE, params=None)
    else:
        before(apps, schema_editor)


class Migration(migrations.Migration):
    dependencies = [("live", "0001_initial")]

    operations = [
        # The previous version works with it: a longer column changes only its description, the database fills the new
        # one, and the table is so small that writers wait only briefly for the index.
        IgnoreMigration(),
        migrations.RunPython(before, migrations.RunPython.noop),
        migrations.AlterField("change", "topic", models.CharField(max_length=200)),
        migrations.AddField("change", "at", models.DateTimeField(db_default=Now(), editable=False)),
        migrations.AddIndex("change", models.Index(fields=["at"], name="live_change_at")),
        migrations.RunPython(after, after_reverse),
    ]
