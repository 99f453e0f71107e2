from codeproject_ai_sdk.module_runner import *
