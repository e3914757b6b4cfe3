"""The settings of `workshop.bench.letters`: the probe, and an address that tells what its process holds."""

from workshop.probe.settings import *

ROOT_URLCONF = "workshop.bench.inside"
