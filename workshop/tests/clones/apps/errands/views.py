from django.db import transaction
from django.shortcuts import redirect, render

from kit.live import latest, publish

from .models import Errand


def errands(request):
    if request.method == "POST":
        with transaction.atomic():
            errand = Errand.objects.create(text=request.POST.get("text", "")[:100])
            publish("errands", errand.pk)
        return redirect("errands")
    context = {"cursor": latest("errands"), "errands": Errand.objects.order_by("-pk")[:50]}
    return render(request, "errands/errands.html", context)
