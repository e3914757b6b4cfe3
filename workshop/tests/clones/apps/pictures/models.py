from django.conf import settings
from django.core.validators import FileExtensionValidator
from django.db import models


class Picture(models.Model):
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="pictures")
    file = models.FileField(upload_to="pictures/%Y/", validators=[FileExtensionValidator(["jpg", "png", "webp"])])

    def __str__(self):
        return self.file.name
