from channels.routing import URLRouter
from django.urls import path

from .sockets import socket

websocket_application = URLRouter([path("live/<slug:topic>/ws", socket)])
