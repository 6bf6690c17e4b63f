//! Korean.

use super::{Said, Sayings, Words};
use crate::waiting_room::page::numbers::{Forms, Grouping, Numbers, Plural};

pub(in super::super) const WORDS: Words = Words {
    tag: "ko",
    rtl: false,
    numbers: Numbers { group: ",", grouping: Grouping::Thousands, decimal: ".", range: "~" },
    plural: Plural::Same,
    minutes: Forms::same("분"),
    hours: Forms::same("시간"),
    said: Sayings {
        before: Said("아직 열리지 않았습니다", "이 페이지를 열어 두세요. 시작되면 자동으로 다음으로 넘어갑니다."),
        draw: Said(
            "제때 오셨습니다",
            "시작할 때 이곳에 계신 모든 분을 대상으로 추첨하여 순서를 정합니다. 먼저 오셔도 유리하지 않습니다.",
        ),
        stub: Said("잠시만 기다려 주세요", "대기 순서를 받고 있습니다."),
        drawing: Said(
            "순서를 추첨하고 있습니다",
            "시작 전에 오신 모든 분의 기회는 같습니다. 잠시 후 순서가 여기에 표시됩니다.",
        ),
        queued: Said(
            "대기 중입니다",
            "지금 접속하신 분이 많습니다. 순서대로 입장하며, 차례가 되면 이 페이지가 자동으로 안내합니다.",
        ),
        paused: Said(
            "입장이 잠시 멈췄습니다",
            "지금은 아무도 입장하지 않습니다. 따로 하실 일은 없으며 순서는 그대로 유지됩니다.",
        ),
        sold_out: Said(
            "매진되었습니다",
            "죄송합니다. 남은 수량이 없습니다. 다시 구매할 수 있게 되면 여기에 표시됩니다.",
        ),
        full: Said(
            "대기열이 가득 찼습니다",
            "기다리는 분이 많아 더 이상 순서를 드릴 수 없습니다. 이 페이지가 계속 다시 시도합니다.",
        ),
        closed: Said("종료되었습니다", "죄송합니다. 더 이상 입장할 수 없습니다. 찾아 주셔서 감사합니다."),
        admitted: Said("차례가 되었습니다", "기다려 주셔서 감사합니다. 들어오세요!"),
        resend: Said("차례가 되었습니다", "앞서 보내신 내용은 접수되지 않았습니다. 뒤로 돌아가 다시 보내 주세요."),
    },
    place: "현재 대기 순서",
    wait: "예상 대기 시간",
    stock: "남은 수량",
    reference: "문의용 번호",
    opens: "시작까지",
    not_known: "아직 알 수 없음",
    moment: "1분 미만",
    units: ["일", "시간", "분", "초"],
    check: "지금 확인",
    go: "계속",
    back: "뒤로",
    keep: "이 페이지를 그대로 두고 다른 일을 하셔도 됩니다. 닫더라도 같은 브라우저로 돌아오시면 순서가 유지됩니다.",
    refreshes: "이 페이지는 자동으로 새로 고쳐집니다.",
    stop: "새로 고침 중지",
    stopped: "새로 고침이 중지되었습니다.",
    resume: "새로 고침 다시 시작",
    offline: "지금은 연결되지 않습니다. 계속 시도하고 있습니다.",
    cookies: "이 사이트의 쿠키를 허용해 주세요. 허용하지 않으면 순서를 유지할 수 없습니다.",
    progress: "대기 진행 상황",
};
