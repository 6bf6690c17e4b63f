//! nginx from the distribution's packages, with a configuration of its own.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use super::eventually;

pub struct Nginx {
    child: Option<Child>,
    dir: TempDir,
    pub address: SocketAddr,
}

impl Nginx {
    /// Starts it with these directives in its server block. `ROOT` stands for [`Nginx::root`].
    pub fn start(server: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        let mut this = Self { child: None, dir, address: free_port() };
        for _ in 0..20 {
            std::fs::write(this.dir.path().join("nginx.conf"), this.configuration(server)).unwrap();
            if this.begin() {
                return this;
            }
            this.address = free_port();
        }
        panic!("nginx does not start:\n{}", this.log());
    }

    /// Where its documents are.
    pub fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("root")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// As a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// After [`Nginx::kill`], on the same port.
    #[track_caller]
    pub fn start_again(&mut self) {
        eventually("nginx is back on its port", || self.begin());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default()
    }

    /// Whether it listens; another program may have been faster to the port.
    fn begin(&mut self) -> bool {
        let mut command = Command::new("/usr/sbin/nginx");
        let conf = self.dir.path().join("nginx.conf");
        command.arg("-p").arg(self.dir.path()).arg("-c").arg(&conf).args(["-e", "error.log"]);
        let mut child = match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(child) => child,
            Err(e) if e.kind() == ErrorKind::NotFound => panic!("no nginx here: apt-get install nginx-light"),
            Err(e) => panic!("nginx: {e}"),
        };
        let mut ended = false;
        eventually("nginx listens", || {
            ended = child.try_wait().unwrap().is_some();
            ended || TcpStream::connect(self.address).is_ok()
        });
        if !ended {
            self.child = Some(child);
        }
        !ended
    }

    fn configuration(&self, server: &str) -> String {
        let (dir, address) = (self.dir.path().display(), self.address);
        let server = server.replace("ROOT", &self.root().display().to_string());
        format!(
            "daemon off;\nmaster_process off;\npid {dir}/pid;\nerror_log {dir}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n  access_log off;\n  client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n\
             fastcgi_temp_path {dir}/fastcgi;\n  uwsgi_temp_path {dir}/uwsgi;\n  scgi_temp_path {dir}/scgi;\n\
             default_type application/octet-stream;\n\
             types {{ text/html html; text/plain txt; application/json json; image/png png; text/css css; }}\n\
             sendfile on;\n  keepalive_timeout 60s;\n  client_max_body_size 100m;\n\
             server {{\n  listen {address} reuseport backlog=1024;\n  root {dir}/root;\n{server}\n}}\n}}\n"
        )
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("── nginx's log ──\n{}", self.log());
        }
    }
}

/// Below the ports that the system gives to clients, so that it is still free after a restart.
fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = std::process::id() % 12_000;
    loop {
        let port = 20_000 + (begin as u16 + NEXT.fetch_add(7, Ordering::Relaxed)) % 12_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Regular files below a directory, at most so many, whose names need no encoding in a URL.
pub fn files_below(dir: &Path, most: usize) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        let mut entries: Vec<_> = entries.map_while(Result::ok).map(|e| e.path()).collect();
        entries.sort();
        for path in entries {
            let plain =
                path.to_str().is_some_and(|p| p.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._".contains(&b)));
            let Ok(about) = path.symlink_metadata() else { continue };
            if plain && about.is_dir() {
                dirs.push(path);
            } else if plain && about.is_file() && found.len() < most {
                found.push(path);
            }
        }
    }
    found
}
