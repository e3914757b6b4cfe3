from django.contrib.auth.decorators import login_required
from django.forms import modelform_factory
from django.shortcuts import redirect, render

from .models import Picture

PictureForm = modelform_factory(Picture, fields=["file"])


@login_required
def pictures(request):
    form = PictureForm(request.POST or None, request.FILES or None, instance=Picture(owner=request.user))
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("pictures")
    return render(request, "pictures/pictures.html", {"form": form, "pictures": request.user.pictures.all()})
