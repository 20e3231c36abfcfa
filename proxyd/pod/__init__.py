"""proxyd in a pod: what injection makes of `istio-proxy` and `istio-init`, run."""
