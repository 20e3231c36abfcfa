"""ProxyView to Envoy v3 messages."""

from artemon.translate.translator import Translator, translate

__all__ = ["Translator", "translate"]
