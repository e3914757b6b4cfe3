"""Sign up, in and out. The views are sync because they talk to the database."""

from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.views import LoginView, LogoutView, RedirectURLMixin
from django.db import IntegrityError, transaction
from django.http import HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView

from .forms import SignUpForm


class NextUrlMixin(RedirectURLMixin):
    """Where to go afterwards: `next` if it is on this site and not one of these pages, else as the settings say."""

    def get_redirect_url(self, request=None):
        address = super().get_redirect_url(request)
        # LoginView raises ValueError when it is asked to send a signed-in person to itself.
        own = {reverse(f"accounts:{name}") for name in ("sign_up", "sign_in", "sign_out")}
        return "" if urlsplit(address).path in own else address


class UnprocessableFormMixin:
    """A form that is not valid is shown again as an error, which scripts and caches can tell from success."""

    def form_invalid(self, form):
        return self.render_to_response(self.get_context_data(form=form), status=422)


class SignIn(UnprocessableFormMixin, NextUrlMixin, LoginView):
    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True


class SignOut(NextUrlMixin, LogoutView):
    pass


@method_decorator([sensitive_post_parameters("password1", "password2"), never_cache], name="dispatch")
class SignUp(UnprocessableFormMixin, NextUrlMixin, FormView):
    next_page = settings.LOGIN_REDIRECT_URL
    form_class = SignUpForm
    template_name = "accounts/sign_up.html"

    def dispatch(self, request, *args, **kwargs):
        if request.user.is_authenticated:
            return HttpResponseRedirect(self.get_success_url())
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs):
        return super().get_context_data(**kwargs, next=self.get_redirect_url())

    def form_valid(self, form):
        try:
            with transaction.atomic():
                user = form.save()
        except IntegrityError:
            # Someone else took the name after the form had checked it.
            form.add_error("username", form.instance.unique_error_message(type(form.instance), ["username"]))
            return self.form_invalid(form)
        login(self.request, user)
        return HttpResponseRedirect(self.get_success_url())
