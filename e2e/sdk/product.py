"""What a vendor's SDK is asked to do."""


def defaults(item, **values):
    for key, value in values.items():
        item.setdefault(key, value)


class Product:
    """What all have in common.

    `refusals` are cases whose last answer has to become the SDK's own error, `pages` those that the SDK reads page by page.
    `hosts` are the hosts that the SDK itself knows, the default one first; `base` the path that a person would configure.
    """

    allowed, refusals, pages, hosts, base = (), ("look_up_not_found",), (), (), ""

    def __init__(self, url, case):
        self.url, self.secret, self.settings = url, case.secret, case.settings

    @staticmethod
    def complete(answer):
        """Adds what the SDK needs and offboard does not read."""

    @staticmethod
    def extra(method, path, url):
        """The answer to a call that the SDK makes and offboard does not."""

    @staticmethod
    def status(error):
        return error.status
