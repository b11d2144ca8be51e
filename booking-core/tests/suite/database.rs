//! Real databases for tests: a SQLite file or a database in a PostgreSQL cluster of our own.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use booking_core::app;
use booking_core::config::Config;
use booking_core::store::Store;
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// Runs a test on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($(#[$meta:meta])* async fn $name:ident($db:ident: Database) $body:block) => {
        mod $name {
            use super::*;

            async fn body($db: crate::database::Database) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                body(crate::database::Database::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                body(crate::database::Database::postgres().await).await;
            }
        }
    };
}
pub(crate) use on_both;

/// An empty database of its own for one test.
pub struct Database {
    pub url: String,
    _folder: Option<TempDir>,
}

impl Database {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("booking.db").display());
        Self { url, _folder: Some(folder) }
    }

    pub async fn postgres() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let cluster = &*CLUSTER;
        raw_postgres(&cluster.url("postgres"), &format!("CREATE DATABASE {name}")).await.unwrap();
        Self { url: cluster.url(&name), _folder: None }
    }

    /// Is one more of the same kind.
    pub async fn another(&self) -> Self {
        if self.url.starts_with("sqlite:") { Self::sqlite() } else { Self::postgres().await }
    }

    /// Is at an address, whoever keeps it.
    pub fn at(url: String) -> Self {
        Self { url, _folder: None }
    }

    pub fn config(&self) -> Config {
        Config { database: self.url.clone(), ..Config::default() }
    }

    pub async fn open(&self) -> Arc<dyn Store> {
        app::open(&self.config()).await.unwrap()
    }

    /// Runs SQL behind the store's back; the error as text.
    pub async fn raw(&self, sql: &str) -> Result<(), String> {
        match self.url.strip_prefix("sqlite:") {
            Some(path) => {
                let db = rusqlite::Connection::open(path).unwrap();
                db.busy_timeout(Duration::from_secs(5)).unwrap();
                db.execute_batch(sql).map_err(|error| error.to_string())
            }
            None => raw_postgres(&self.url, sql).await,
        }
    }
}

async fn raw_postgres(url: &str, sql: &str) -> Result<(), String> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let outcome = client.batch_execute(sql).await.map_err(|error| format!("{error}: {:?}", error.as_db_error()));
    drop(client);
    let _closed = connection.await;
    outcome
}

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

/// A cluster that lives as long as this process. It is run by a shell that reads from us: when we end, however we end,
/// its input ends, and it stops the server by its id and removes the folder.
pub struct Cluster {
    port: u16,
    keeper: Child,
    folder: PathBuf,
    /// How often the server was started.
    starts: usize,
}

const KEEPER: &str = r#"
    cd "$2" && PATH="$1:$PATH"
    initdb -D data -U booking -A trust -E UTF8 --no-sync >log 2>&1 || exit 1
    postgres -D data -p "$3" -k "$2" -h 127.0.0.1 -F -c max_connections=300 >>log 2>&1 </dev/null &
    server=$!
    while read -r word; do
        # As after a crash: nothing is finished, and the next start goes through the log.
        [ "$word" = crash ] || break
        kill -QUIT $server; wait $server
        postgres -D data -p "$3" -k "$2" -h 127.0.0.1 -F -c max_connections=300 >>log 2>&1 </dev/null &
        server=$!
    done
    kill -INT $server; wait $server
    cd / && rm -rf "$2"
"#;

impl Cluster {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("booking-pg-").tempdir().unwrap().keep();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let root = folder.metadata().map(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0).unwrap();
        let mut command = if root {
            // PostgreSQL refuses to run as root.
            assert!(Command::new("chown").arg("postgres").arg(&folder).status().unwrap().success());
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.arg("-c").arg(KEEPER).arg("keeper").arg(programs()).arg(&folder).arg(port.to_string());
        let keeper = command.stdin(Stdio::piped()).spawn().unwrap();
        let cluster = Self { port, keeper, folder, starts: 1 };
        cluster.wait();
        cluster
    }

    #[expect(clippy::disallowed_methods, reason = "it waits for another process")]
    fn wait(&self) {
        let socket = self.folder.join(format!(".s.PGSQL.{}", self.port));
        let patience = Instant::now() + Duration::from_secs(60);
        let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        while !socket.exists() || log().matches("ready to accept connections").count() < self.starts {
            let log = log();
            assert!(Instant::now() < patience, "PostgreSQL did not start:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Crashes the server and starts it again; whoever uses it meanwhile is cut off.
    pub fn crash(&mut self) {
        std::io::Write::write_all(self.keeper.stdin.as_mut().unwrap(), b"crash\n").unwrap();
        self.starts += 1;
        self.wait();
    }

    pub fn url(&self, name: &str) -> String {
        format!("postgres://booking@127.0.0.1:{}/{name}", self.port)
    }
}

/// Finds the folder with `initdb`: on the path, or where Debian puts it.
fn programs() -> PathBuf {
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders: Vec<PathBuf> = on_path;
    folders
        .into_iter()
        .chain(versions.map(|version| version.path().join("bin")))
        .find(|folder| folder.join("initdb").exists())
        .expect("these tests need PostgreSQL's initdb and postgres; install the postgresql package")
}
