"""The page of ``mmwsfs app``: what a person does in a browser instead of a shell.

No logic of models is here: it calls :class:`mmwsfs.apis.FewShotInferencer`.
"""
