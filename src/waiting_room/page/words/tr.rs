//! Turkish.

use super::{Said, Sayings, Words};
use crate::waiting_room::page::numbers::{Forms, Grouping, Numbers, Plural};

pub(in super::super) const WORDS: Words = Words {
    tag: "tr",
    rtl: false,
    numbers: Numbers { group: ".", grouping: Grouping::Thousands, decimal: ",", range: "–" },
    plural: Plural::Same,
    minutes: Forms::same(" dakika"),
    hours: Forms::same(" saat"),
    said: Sayings {
        before: Said(
            "Henüz açılmadı",
            "Bu sayfayı açık bırakabilirsiniz: açıldığında sizi kendiliğinden ileri götürür.",
        ),
        draw: Said(
            "Zamanında geldiniz",
            "Açılışta yerler, burada bulunan herkes arasında kurayla belirlenir. Daha önce gelmek avantaj sağlamaz.",
        ),
        stub: Said("Bir saniye lütfen", "Sırada size bir yer ayırıyoruz."),
        drawing: Said(
            "Yeriniz kurayla belirleniyor",
            "Açılıştan önce burada olan herkesin şansı eşittir. Yeriniz birazdan burada görünecek.",
        ),
        queued: Said(
            "Sıradasınız",
            "Şu anda burada çok sayıda kişi var. Herkes sırayla giriyor; sıra size geldiğinde bu sayfa sizi içeri alır.",
        ),
        paused: Said(
            "Sıra duraklatıldı",
            "Şu an kimse içeri alınmıyor. Bir şey yapmanız gerekmiyor: yeriniz korunuyor.",
        ),
        sold_out: Said("Tükendi", "Üzgünüz: hiçbir şey kalmadı. Yeniden bir şey açılırsa burada göreceksiniz."),
        full: Said(
            "Sıra dolu",
            "O kadar çok kişi bekliyor ki yeni yer verilemiyor. Bu sayfa sizin için denemeye devam ediyor.",
        ),
        closed: Said("Kapandı", "Üzgünüz: artık kimse içeri alınmıyor. Geldiğiniz için teşekkür ederiz."),
        admitted: Said("Sıra sizde", "Beklediğiniz için teşekkürler. Buyurun!"),
        resend: Said("Sıra sizde", "Daha önce gönderdiğiniz bilgi bize ulaşmadı. Lütfen geri dönüp yeniden gönderin."),
    },
    place: "Sıradaki yeriniz",
    wait: "Tahmini bekleme süresi",
    stock: "Kalan",
    reference: "Destek için referans",
    opens: "Açılışa kalan süre",
    not_known: "Henüz belli değil",
    moment: "Bir dakikadan az",
    units: ["gün", "sa.", "dk.", "sn."],
    check: "Şimdi kontrol et",
    go: "Devam et",
    back: "Geri dön",
    keep: "Bu sayfayı arka planda bırakabilir ya da kapatıp bu tarayıcıda geri dönebilirsiniz: yeriniz korunur.",
    refreshes: "Bu sayfa kendiliğinden yenilenir.",
    stop: "Yenilemeyi durdur",
    stopped: "Yenileme durduruldu.",
    resume: "Yenilemeyi yeniden başlat",
    offline: "Şu an bağlantı yok. Denemeye devam ediyoruz.",
    cookies: "Lütfen bu site için çerezlere izin verin: onlar olmadan yeriniz korunamaz.",
    progress: "Sıradaki ilerlemeniz",
};
