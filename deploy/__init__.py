"""How Hagukumi is put somewhere: on one machine without containers, in containers, on Kubernetes."""
