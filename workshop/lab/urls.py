from django.urls import path

from .index import index
from .step_views import urlpatterns as step_urlpatterns
from .workloads import WORKLOADS

app_name = "lab"
urlpatterns = [
    path("", index, name="index"),
    *step_urlpatterns,
    *(
        path(f"{workload.name}/{kind}", view, name=f"{workload.name}-{kind}")
        for workload in WORKLOADS
        for kind, view in workload.views.items()
    ),
]
