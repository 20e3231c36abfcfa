"""`artemon-cni`: interception set up by the node, so that no container of a pod needs rights for it."""
