"""A read-only hub of our own: serves models on disk through the protocols of ModelScope and of Hugging Face.

Any program that speaks to either hub fetches from here once its endpoint setting says so. Nothing but the listed files
of models is ever handed out.
"""
