"""The settings of `workshop.bench.topics many`: the probe, and an address that tells what its process holds."""

from workshop.probe.settings import *

ROOT_URLCONF = "workshop.bench.inside"
