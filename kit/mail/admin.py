from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from .models import Message


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):
    """Shows the recipients and the error, never the content."""

    fields = list_display = ["created_at", "recipients", "error"]
    readonly_fields = fields
    actions = ["send_again"]

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        # Allow the list and its action, but no form.
        return super().has_change_permission(request) if obj is None else False

    @admin.action(description=_("Send the selected mails again"), permissions=["change"])
    def send_again(self, request, queryset):
        for message in queryset:
            message.send()
