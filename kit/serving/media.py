"""Serves visitors' files where no Nginx does, with WhiteNoise's handling of ranges and dates."""

import os

from django.conf import settings
from whitenoise.base import WhiteNoise
from whitenoise.responders import MissingFileError, StaticFile

from kit.files import PRIVATE, headers


class Media(WhiteNoise):
    def __init__(self, application=None):
        super().__init__(application, autorefresh=True)
        self.add_files(settings.MEDIA_ROOT, settings.MEDIA_URL)

    def find_file(self, url):
        # No hidden files, and none that only a view may send.
        if "/." in url or "\0" in url or url.startswith(f"{settings.MEDIA_URL}{PRIVATE}"):
            return None
        try:
            return super().find_file(url)
        except OSError:
            # The name is too long.
            return None

    def find_file_at_path(self, path, url):
        # A symbolic link may lead out of the folder. Nginx doesn't follow links either.
        root = os.path.realpath(settings.MEDIA_ROOT)
        if os.path.realpath(path) != os.path.join(root, url[len(settings.MEDIA_URL) :]) or not os.path.isfile(path):
            raise MissingFileError(path)
        return StaticFile(path, [*headers(url).items()])
