from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from .models import Message


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):
    """To whom and why not; never what is in it."""

    fields = list_display = ["created_at", "recipients", "error"]
    readonly_fields = fields
    actions = ["send_again"]

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        # The list and its action, but no form.
        return super().has_change_permission(request) if obj is None else False

    @admin.action(description=_("Send the selected mails again"), permissions=["change"])
    def send_again(self, request, queryset):
        for message in queryset:
            message.send()
