"""The table of changes, and the trigger that gives each change its position.

Positions must follow the order of commits. Numbers assigned when a row is written do not: of two open transactions the
later number can commit first, and a page that reads up to it never learns of the other change.

PostgreSQL assigns the number at the end of the transaction, in a deferred trigger, under a lock that is held until the
commit is visible. SQLite has one writer at a time from its first statement to its commit, so any moment will do.
"""

from django.db import migrations, models

POSTGRESQL = """
CREATE SEQUENCE live_change_position_seq;
CREATE FUNCTION live_change_assign_position() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('live_change'));
    UPDATE live_change SET position = nextval('live_change_position_seq') WHERE id = NEW.id;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER live_change_assign_position
    AFTER INSERT OR UPDATE OF position ON live_change
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.position IS NULL)
    EXECUTE FUNCTION live_change_assign_position();
"""
POSTGRESQL_REVERSE = """
DROP TRIGGER live_change_assign_position ON live_change;
DROP FUNCTION live_change_assign_position();
DROP SEQUENCE live_change_position_seq;
"""

# An updated row may have held the highest position itself.
SQLITE = """
CREATE TRIGGER live_change_{event}_position AFTER {timing} ON live_change WHEN NEW.position IS NULL
BEGIN
    UPDATE live_change SET position = 1 + max(
        {before}, coalesce((SELECT max(position) FROM live_change WHERE topic = NEW.topic), 0)
    ) WHERE id = NEW.id;
END;
"""


def create_triggers(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL, params=None)
    else:
        schema_editor.execute(SQLITE.format(event="insert", timing="INSERT", before="0"))
        schema_editor.execute(SQLITE.format(event="update", timing="UPDATE OF position", before="OLD.position"))


def drop_triggers(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL_REVERSE, params=None)
    else:
        schema_editor.execute("DROP TRIGGER live_change_insert_position")
        schema_editor.execute("DROP TRIGGER live_change_update_position")


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Change",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("topic", models.CharField(max_length=50)),
                ("key", models.CharField(max_length=50)),
                ("position", models.BigIntegerField(editable=False, null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["topic", "position"], name="live_change_position")],
                "constraints": [models.UniqueConstraint(fields=("topic", "key"), name="live_change_of_an_object")],
            },
        ),
        migrations.RunPython(create_triggers, drop_triggers),
    ]
