use super::*;

const SECOND: u64 = 1_000_000_000;

fn id(pid: u32, start_time: u64) -> Id {
    Id { pid, start_time }
}

fn image(exe: &str) -> Arc<Image> {
    let arguments = format!("{exe}\0-v\0").into_bytes();
    Arc::new(Image { exe: Some(exe.to_owned()), inode: 7, arguments, ..Image::default() })
}

fn fork(time: u64, child: Id, parent: Id) -> News {
    News::Fork(Birth { time, id: child, parent, inner: 9 })
}

fn exec(time: u64, process: Id, exe: &str) -> News {
    News::Exec(Birth { time, id: process, parent: id(1, 1), inner: 9 }, image(exe))
}

fn table(news: Vec<News>) -> Processes {
    let mut table = Processes::default();
    assert_eq!(table.take(Batch { news, fetched: Some(50), lost: false }, 50), 0);
    table
}

fn exe(table: &Processes, process: Id, time: u64) -> Option<String> {
    table.at(process, time)?.image?.exe.clone()
}

#[test]
fn an_event_is_of_the_program_that_ran_then() {
    let (shell, child) = (id(10, 100), id(11, 200));
    let table = table(vec![
        exec(5, shell, "/bin/sh"),
        fork(10, child, shell),
        exec(20, child, "/usr/bin/curl"),
        News::Exit { time: 21, id: child },
    ]);
    assert_eq!(exe(&table, child, 15).as_deref(), Some("/bin/sh"));
    assert_eq!(exe(&table, child, 20).as_deref(), Some("/usr/bin/curl"));
    assert_eq!(exe(&table, child, 9), None, "it had not begun");
    assert_eq!(exe(&table, id(11, 201), 20), None, "another with its number");
    assert_eq!(exe(&table, shell, 4), None, "what it ran before nobody has told");
    let known = table.at(child, 20).unwrap();
    assert_eq!(known.image.unwrap().cmdline(), ["/usr/bin/curl", "-v"]);
    let parents: Vec<u32> = known.parents.iter().map(|parent| parent.pid).collect();
    assert_eq!(parents, [10, 1]);
}

#[test]
fn parents_end_at_a_containers_first_process_and_at_the_bound() {
    let init = id(100, 1);
    let mut news = vec![
        exec(1, id(50, 1), "/usr/bin/containerd-shim"),
        News::Fork(Birth { time: 2, id: init, parent: id(50, 1), inner: 1 }),
    ];
    for depth in 0..20 {
        news.push(fork(3, id(101 + depth, 1), id(100 + depth, 1)));
    }
    let table = table(news);
    let parents = |pid| table.at(id(pid, 1), 9).unwrap().parents.to_vec();
    assert_eq!(parents(102).iter().map(|one| one.pid).collect::<Vec<_>>(), [101, 100]);
    assert_eq!(parents(120).len(), PARENTS);
    assert_eq!(parents(100).first().map(|one| one.pid), Some(50));
}

#[test]
fn what_proc_shows_is_no_news_to_what_the_kernel_told() {
    // /proc counts in steps of 10 ms and rounds down.
    let coarse = id(7, 120_000_000);
    let exact = id(7, 123_456_789);
    let mut table = table(vec![
        News::Found { id: id(1, 10_000_000), parent: 0, inner: 1, image: image("/sbin/init") },
        News::Found { id: coarse, parent: 1, inner: 7, image: image("/bin/old") },
    ]);
    assert_eq!(exe(&table, exact, 3).as_deref(), Some("/bin/old"));
    assert_eq!(table.at(exact, 3).unwrap().parents.len(), 1);
    let late = News::Found { id: coarse, parent: 1, inner: 7, image: image("/bin/late") };
    let news = vec![exec(10, exact, "/bin/new"), late];
    table.take(Batch { news, ..Batch::default() }, 10);
    assert_eq!(exe(&table, exact, 9).as_deref(), Some("/bin/old"));
    assert_eq!(exe(&table, exact, 11).as_deref(), Some("/bin/new"));
    assert_eq!(exe(&table, id(7, 125_000_000), 11), None, "its start is known exactly now");
    assert_eq!(table.len(), 2);
}

#[test]
fn the_ended_go_after_a_while_and_first_when_there_is_no_room() {
    let mut table = Processes::default();
    let news = (0..CAPACITY as u32 + 5).flat_map(|pid| {
        let process = id(pid + 1, 1);
        [fork(1, process, id(0, 0)), News::Exit { time: 1, id: process }]
    });
    let batch = Batch { news: news.collect(), fetched: Some(2), lost: false };
    assert_eq!(table.take(batch, 2), 0);
    assert_eq!(table.len(), CAPACITY);
    assert!(table.at(id(5, 1), 2).is_none() && table.at(id(6, 1), 2).is_some());
    table.take(Batch::default(), 1 + GRACE);
    assert!(table.is_empty());
    let news = (0..CAPACITY as u32 + 5).map(|pid| fork(1, id(pid + 1, 1), id(0, 0)));
    let batch = Batch { news: news.collect(), fetched: Some(2), lost: false };
    assert_eq!(table.take(batch, 2), 5, "the living stay, and who finds no room is counted");
}

#[test]
fn after_a_loss_nothing_is_believed() {
    let mut table = table(vec![exec(5, id(10, 100), "/bin/sh")]);
    assert!(table.is_behind(51) && !table.is_behind(50));
    let news = vec![exec(60, id(11, 100), "/bin/sh")];
    table.take(Batch { news, fetched: Some(SECOND), lost: true }, SECOND);
    assert!(table.is_empty() && !table.is_behind(SECOND));
    assert!(!Processes::default().is_behind(SECOND), "nobody tells of any");
}

#[test]
fn arguments_that_were_cut_say_so() {
    let cut = Image { arguments: b"a\0bc".to_vec(), is_cut: true, ..Image::default() };
    assert_eq!(cut.cmdline(), ["a", "bc…"]);
    assert!(Image::default().cmdline().is_empty());
}
