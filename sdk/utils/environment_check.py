from codeproject_ai_sdk.utils.environment_check import *
