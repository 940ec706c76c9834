"""The pages: every link leads to a file that is there, and to a heading that it has."""
import glob
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
PAGES = ("*.md", "docs/*.md", "docs/*/*.md", "examples/*/*.md", "connectors/*/*.md", "bench/*.md")


def read(path):
    with open(path, encoding="utf-8") as text:
        return re.sub(r"```.*?```", "", text.read(), flags=re.S)


def anchors(path):
    """As the usual viewers make them of headings."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", read(path), re.M):
        plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
        found.add(plain.strip().replace(" ", "-"))
    return found


def links(path):
    """(file, anchor) of each link that stays in the tree."""
    for target in re.findall(r"\]\(([^)\s]+)\)", read(path)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        yield os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path, anchor


class Pages(unittest.TestCase):
    def test_every_link_leads_somewhere(self):
        pages = [path for pattern in PAGES for path in glob.glob(os.path.join(ROOT, pattern))]
        count = 0
        for page in pages:
            for path, anchor in links(page):
                with self.subTest(page=os.path.relpath(page, ROOT), link=path, anchor=anchor):
                    self.assertTrue(os.path.exists(path))
                    if anchor:
                        self.assertIn(anchor, anchors(path))
                count += 1
        self.assertGreater(count, 100)

    def test_every_page_can_be_reached_from_the_first_one(self):
        reached, left = set(), [os.path.join(ROOT, "README.md")]
        while left:
            page = left.pop()
            if page in reached:
                continue
            reached.add(page)
            left += [path for path, _ in links(page) if path.endswith(".md")]
            left += [one for path, _ in links(page) if os.path.isdir(path)
                     for one in glob.glob(os.path.join(path, "*.md"))]
        docs = {path for pattern in ("docs/*.md", "docs/*/*.md", "examples/*/*.md")
                for path in glob.glob(os.path.join(ROOT, pattern))}
        self.assertEqual(sorted(os.path.relpath(path, ROOT) for path in docs - reached), [])


if __name__ == "__main__":
    unittest.main()
