"""Times kernels on the machine that perfmodel runs on; PyTorch is imported only where a kernel is run."""
