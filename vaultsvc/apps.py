from django.apps import AppConfig


class VaultsvcConfig(AppConfig):
    name = "vaultsvc"
