"""JupyterLab and Notebook 7 as the browser tests meet them: below a prefix, with the front end of this checkout."""

import os
from pathlib import Path

from jupyterlab import galata

c = get_config()  # noqa: F821 (JupyterLab puts it here)
galata.configure_jupyter_server(c)

c.ServerApp.ip = "127.0.0.1"
c.ServerApp.port = int(os.environ["QWEN3FT_UI_PORT"])
c.ServerApp.base_url = "/dsw-12345/"
c.ServerApp.allow_root = True  # containers run as root, and this server listens on loopback only
c.ServerApp.jpserver_extensions = {"jupyterlab": True, "qwen3ft_jupyter": True}
c.JupyterNotebookApp.expose_app_in_browser = True  # as `galata` does of JupyterLab
c.LabServerApp.extra_labextensions_path = [
    os.environ["QWEN3FT_UI_LABEXTENSIONS"],
    str(Path(galata.__file__).parent),
]
