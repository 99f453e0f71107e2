from codeproject_ai_sdk.request_data import *
