"""STORAGES["default"] with MEDIA_STORE. Apart, because django-storages need not be installed."""

from storages.backends.s3 import S3Storage

from .files import RandomNames, headers


class Store(RandomNames, S3Storage):
    def get_object_parameters(self, name):
        wanted = headers(name)
        kept = {"ContentType": wanted["Content-Type"], "CacheControl": wanted["Cache-Control"]}
        if "Content-Disposition" in wanted:
            kept["ContentDisposition"] = wanted["Content-Disposition"]
        return {**super().get_object_parameters(name), **kept}
