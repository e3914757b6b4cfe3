import os
from pathlib import Path

from workshop.probe.settings import *

MEDIA_ROOT = Path(os.environ["MEDIA_FOLDER"])
