"""What LangChain's wrapper sends by itself, which reads addresses alone; prints them, a line of JSON."""

import json
import os
import sys
import urllib.request
from pathlib import Path

from langchain_community.utilities.dalle_image_generator import DallEAPIWrapper

wrapper = DallEAPIWrapper(
    base_url=os.environ["OPENAI_BASE_URL"], api_key=os.environ["OPENAI_API_KEY"], size="512x512", n=2
)
urls = wrapper.run("Black Swan").split(wrapper.separator)
for index, url in enumerate(urls):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
        Path(sys.argv[1], f"langchain-{index}.png").write_bytes(answer.read())
print(json.dumps({"urls": urls}))  # noqa: T201 -- it is read by the test
