"""ProxyView to Envoy v3 messages.

Servers keep one `Translator` and ask it to `translate(view, previous)`: parts are made once for all proxies.
`translate(view)` and `messages(view)` do it for one proxy alone.
"""

from artemon.translate.translator import Translator, messages, translate

__all__ = ["Translator", "messages", "translate"]
