//! Japanese.

use super::{Said, Sayings, Words};
use crate::waiting_room::page::numbers::{Forms, Grouping, Numbers, Plural};

pub(in super::super) const WORDS: Words = Words {
    tag: "ja",
    rtl: false,
    numbers: Numbers { group: ",", grouping: Grouping::Thousands, decimal: ".", range: "～" },
    plural: Plural::Same,
    minutes: Forms::same("分"),
    hours: Forms::same("時間"),
    said: Sayings {
        before: Said("まだ始まっていません", "このページを開いたままお待ちください。開始すると自動的に先へ進みます。"),
        draw: Said(
            "受付に間に合いました",
            "開始時に、ここでお待ちの全員の中から抽選で順番が決まります。早く来ても有利にはなりません。",
        ),
        stub: Said("少々お待ちください", "順番をお取りしています。"),
        drawing: Said(
            "順番を抽選しています",
            "開始前からお待ちの方は全員同じ確率です。まもなく順番がここに表示されます。",
        ),
        queued: Said(
            "順番にご案内しています",
            "ただいまアクセスが集中しています。順番が来ると、このページから自動的にお入りいただけます。",
        ),
        paused: Said(
            "ご案内を一時停止しています",
            "しばらくの間、どなたもご案内できません。操作は不要です。順番はそのまま保たれます。",
        ),
        sold_out: Said(
            "完売しました",
            "申し訳ございません。残りがなくなりました。再び空きが出た場合は、ここに表示されます。",
        ),
        full: Said(
            "ただいま満員です",
            "お待ちの方が多いため、これ以上順番をお取りできません。このページが引き続き自動でお試しします。",
        ),
        closed: Said(
            "受付は終了しました",
            "申し訳ございません。これ以上のご案内はできません。お越しいただきありがとうございました。",
        ),
        admitted: Said("順番が来ました", "お待たせいたしました。どうぞお入りください。"),
        resend: Said(
            "順番が来ました",
            "先ほど送信された内容は届いていません。前の画面に戻って、もう一度送信してください。",
        ),
    },
    place: "現在の順番",
    wait: "予想待ち時間",
    stock: "残り",
    reference: "お問い合わせ番号",
    opens: "開始まで",
    not_known: "まだわかりません",
    moment: "1分未満",
    units: ["日", "時間", "分", "秒"],
    check: "今すぐ確認",
    go: "進む",
    back: "前の画面に戻る",
    keep: "このページを開いたまま、ほかのことをしていただけます。閉じても、同じブラウザーで戻れば順番は保たれます。",
    refreshes: "このページは自動的に更新されます。",
    stop: "自動更新を止める",
    stopped: "自動更新は停止しています。",
    resume: "自動更新を再開する",
    offline: "現在、接続できません。再試行しています。",
    cookies: "このサイトのクッキーを許可してください。許可しないと順番を保てません。",
    progress: "順番の進み具合",
};
