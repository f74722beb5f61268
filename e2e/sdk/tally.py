"""Counts checks, and prints those that fail."""


class Tally:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def equal(self, what, is_, must):
        if is_ == must:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}: is {is_!r}, must be {must!r}")

    def raises(self, what, kind, call):
        """Runs `call` and gives back the error of this kind that it must raise."""
        try:
            call()
        except kind as error:
            self.passed += 1
            return error
        except Exception as error:  # any other one is a finding, not the end of the check
            print(f"FAILED {what}: raised {error!r}, not {kind.__name__}")
        else:
            print(f"FAILED {what}: raised nothing, must raise {kind.__name__}")
        self.failed += 1
        return None
