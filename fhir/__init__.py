"""FHIR R4 (4.0.1) in and out: import, mapping, summary, checks."""

if __name__ == "fhir":  # checkout root on sys.path: make room for the fhir.resources distribution
    from pkgutil import extend_path

    __path__ = extend_path(__path__, __name__)
