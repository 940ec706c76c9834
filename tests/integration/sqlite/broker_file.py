"""What stories about pubsub.sqlite share: a file in a scratch folder, and gateways on it."""
import os
import shutil
import sqlite3
import tempfile

from flood import Application, Flood, Ledger, Publishers
from harness import OK, Story, component


def ask(path, sql):
    """The rows that a reader sees, whether or not a gateway has the file open."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


class FileStory(Story):
    """Has `path`, and, when they are asked for, a `ledger` and the `flood` that it is kept by."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="fairlead-file-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        super().setUp()
        self.path = os.path.join(self.folder, "broker.db")
        self.ledger = Ledger()
        self.made_flood = None
        self.applications, self.all_publishers = [], []

    def end_all(self):
        """What applications hold is let go first, and they live as long as the gateways."""
        for application in self.applications:
            application.verdict = lambda delivery: OK
            application.let_go()
        try:
            super().end_all()
        finally:
            for application in self.applications:
                application.stop()
            if self.made_flood:
                self.made_flood.end()

    @property
    def flood(self):
        if not self.made_flood:
            self.made_flood = Flood()
        return self.made_flood

    def application(self, *subscriptions, **more):
        application = Application(self.flood, self.ledger, *subscriptions, **more)
        self.applications.append(application)
        return application

    def publishers(self, gateway, count, **more):
        publishers = Publishers(self.flood, self.ledger, gateway.address, count, **more)
        self.all_publishers.append(publishers)
        return publishers

    def stop_all_publishers(self):
        for publishers in self.all_publishers:
            publishers.stop()

    def on_file(self, *flags, app=None, documents=(), env=None, awaits="healthz", **options):
        """A gateway on the file. `options` are the component's."""
        options.setdefault("connectionString", self.path)
        document = component(kind="pubsub.sqlite", **options)
        return self.gateway(*flags, app=app, documents=(document, *documents), env=env,
                            awaits=awaits)

    # --- the file

    def ask(self, sql):
        return ask(self.path, sql)

    def has_settled(self):
        """Every group has settled everything."""
        return self.ask("SELECT (SELECT count(*) FROM claim), (SELECT count(*) FROM waiting), "
                        "(SELECT sum(last - position) FROM cursor JOIN topic ON id = topic)"
                        ) in ([(0, 0, 0)], [(0, 0, None)])

    def check_file(self):
        """After the gateways have ended: it is whole, and nobody left anything."""
        self.assertEqual(self.ask("PRAGMA integrity_check"), [("ok",)])
        self.assertEqual(self.ask("SELECT * FROM owner"), [])
        self.assertTrue(self.has_settled(), self.ask("SELECT * FROM claim") +
                        self.ask("SELECT * FROM waiting") + self.ask("SELECT * FROM cursor"))
