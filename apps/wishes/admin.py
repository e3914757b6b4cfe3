from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextareaWidget

from .forms import TextField
from .models import Cheer, Wish


class WishAdminForm(forms.ModelForm):
    class Meta:
        # A CharField's own input would remove line breaks.
        field_classes = {"text": TextField}
        widgets = {"text": AdminTextareaWidget}


@admin.register(Wish)
class WishAdmin(admin.ModelAdmin):
    form = WishAdminForm
    list_display = ["text", "owner", "created_at", "granted_at"]
    list_filter = ["created_at", ("granted_at", admin.EmptyFieldListFilter)]
    list_select_related = ["owner"]
    search_fields = ["text", "owner__username"]
    raw_id_fields = ["owner"]
    readonly_fields = ["created_at"]
    date_hierarchy = "created_at"


@admin.register(Cheer)
class CheerAdmin(admin.ModelAdmin):
    list_display = ["wish", "user", "created_at"]
    list_select_related = ["wish", "user"]
    search_fields = ["wish__text", "user__username"]
    raw_id_fields = ["wish", "user"]
