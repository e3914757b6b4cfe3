from django.db import migrations, models

ROWS = 1000


def fill(apps, schema_editor):
    Row = apps.get_model("lab", "Row")
    rows = [Row(number=number, text=f"Row {number} of {ROWS}") for number in range(1, ROWS + 1)]
    Row.objects.using(schema_editor.connection.alias).bulk_create(rows)


class Migration(migrations.Migration):

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Row",
            fields=[
                ("number", models.PositiveIntegerField(primary_key=True, serialize=False)),
                ("text", models.CharField(max_length=100)),
            ],
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
