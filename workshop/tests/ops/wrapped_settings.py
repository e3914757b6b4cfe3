from wisheasy.settings import *

DATABASES["default"]["ENGINE"] = "workshop.tests.ops.engine"
