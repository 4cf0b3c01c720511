//! One suite for everybody who can be asked: each case runs through the hall, the gRPC door and the Mooncake door, each
//! on a node of its own, and the answers must be the same. A call that a door's contract does not have is made
//! through the hall there, so that what follows is comparable.

mod answers;
mod cases;
mod over_grpc;
mod over_wire;

use clap::Parser;
use standfast_kernel::api::Request;

use super::*;

/// A node in this process.
struct Node {
    hall: Arc<MasterService<BootClock>>,
    grpc: String,
    mooncake: String,
    stop: CancellationToken,
}

impl Node {
    async fn start() -> Self {
        #[derive(Parser)]
        struct Cli {
            #[command(flatten)]
            args: ServeArgs,
        }
        let line =
            "serve --node a --role primary --grpc 127.0.0.1:0 --mooncake 127.0.0.1:0 --http 127.0.0.1:0";
        let words = line.split(' ');
        let args = Cli::try_parse_from(words).expect("sound").args;
        let (config, files) = checked(&args).expect("valid");
        let App { listener, services, mooncake, mut serving, mut driver, ready, .. } =
            build(config, files).await.expect("a node");
        let stop = CancellationToken::new();
        let hall = Arc::clone(&services.hall);
        driver.start();
        tokio::spawn(driver.run());
        let port = mooncake.expect("asked for");
        tokio::spawn(coro_rpc::serve(port, Arc::clone(&hall), serving.clone(), None, stop.clone()));
        tokio::spawn(grpc::serve(plain(listener), services, stop.clone().cancelled_owned()));
        serving.wait_for(Option::is_some).await.expect("it leads");
        let text = |name: &str| ready[name].as_str().expect("an address").to_owned();
        Self { hall, grpc: text("grpc"), mooncake: text("mooncake"), stop }
    }

    /// Asks the hall once this node may answer.
    async fn ask(&self, request: &Request) -> Vec<String> {
        loop {
            match self.hall.call(crate::shell::Door::Grpc, request.clone()).await {
                Ok(response) => return answers::of(response),
                // The first grant is given right after the start.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Who is asked.
enum Asked {
    Hall,
    Grpc(over_grpc::Client),
    /// One key a call where the protocol has such a call, or always lists.
    Wire(over_wire::Client),
}

impl Asked {
    /// `None`: there is no such call.
    async fn answer(&mut self, request: &Request) -> Option<Vec<String>> {
        match self {
            Self::Hall => None,
            Self::Grpc(client) => client.ask(request).await,
            Self::Wire(client) => client.ask(request).await,
        }
    }
}

/// The answers of one case, and how many of them a door gave itself.
async fn run(case: &cases::Case, who: &str) -> (Vec<Vec<String>>, usize) {
    let node = Node::start().await;
    let first = Request::ExistKey { keys: vec!["nobody".into()] };
    assert_eq!(node.ask(&first).await, ["false"]);
    let mut asked = match who {
        "hall" => Asked::Hall,
        "grpc" => Asked::Grpc(over_grpc::Client::connect(&node.grpc).await),
        "wire" => Asked::Wire(over_wire::Client::connect(&node.mooncake, false).await),
        _ => Asked::Wire(over_wire::Client::connect(&node.mooncake, true).await),
    };
    let (mut answers, mut own) = (Vec::new(), 0);
    for request in &case.requests {
        let answer = match asked.answer(request).await {
            Some(answer) => {
                own += 1;
                answer
            }
            None => node.ask(request).await,
        };
        answers.push(answer);
    }
    (answers, own)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gives_the_same_answers() {
    let (mut grpc, mut wire) = (0, 0);
    for case in cases::all() {
        let (expected, _) = run(&case, "hall").await;
        for who in ["grpc", "wire", "wire in lists"] {
            let (answers, own) = run(&case, who).await;
            for (i, request) in case.requests.iter().enumerate() {
                let (name, at) = (case.name, i + 1);
                assert_eq!(answers[i], expected[i], "{name}, {who}, call {at}: {request:?}");
            }
            if who == "grpc" {
                grpc += own;
            } else {
                assert_eq!(own, case.requests.len(), "{}: the Mooncake door has every call", case.name);
                wire += own;
            }
        }
        if let Some(expected_of) = case.expected {
            assert_eq!(expected.last().expect("some").join(" "), expected_of, "{}", case.name);
        }
    }
    assert!(grpc > 50 && wire > 150, "{grpc} and {wire} answers were compared");
}
