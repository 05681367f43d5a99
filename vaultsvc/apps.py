from django.apps import AppConfig


class VaultsvcConfig(AppConfig):
    name = "vaultsvc"

    def ready(self) -> None:
        """Puts sealer and signer in their places; no key is touched before first use."""
        from qcloud.kernel import sealing
        from vaultsvc.sealer import VaultSealer, VaultSigner

        sealing.install(sealer=VaultSealer(), signer=VaultSigner())
