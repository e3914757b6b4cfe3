"""STORAGES["default"] if MEDIA_STORE is set. A module of its own, because django-storages is optional."""

from storages.backends.s3 import S3Storage

from .files import RandomNames, headers


class Store(RandomNames, S3Storage):
    def get_object_parameters(self, name):
        wanted = headers(name)
        kept = {"ContentType": wanted["Content-Type"], "CacheControl": wanted["Cache-Control"]}
        if "Content-Disposition" in wanted:
            kept["ContentDisposition"] = wanted["Content-Disposition"]
        return {**super().get_object_parameters(name), **kept}
