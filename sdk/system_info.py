from codeproject_ai_sdk.system_info import *
